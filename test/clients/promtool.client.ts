/** `promtool check metrics` on what the service tells Prometheus: names, types, help. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, run } from './client.ts'

const programIn = (folder: string) => join(folder, 'usr/bin/promtool')

export const client: Client = {
  title: "promtool, of Debian's package prometheus",
  needs: ['apt-get', 'dpkg'],
  /** Unpacked, not installed. */
  async prepare(folder) {
    if (existsSync(programIn(folder))) return
    await run('apt-get', ['download', 'prometheus'], { cwd: folder })
    const archive = readdirSync(folder).find(name => name.endsWith('.deb'))
    if (archive === undefined) throw new Error(`apt-get has put no package into ${folder}`)
    await run('dpkg', ['-x', join(folder, archive), folder])
  },
  async run({ url, token }, folder) {
    const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
    if (!response.ok) throw new Error(`${url}/metrics answers ${response.status}`)
    const said = await run(programIn(folder), ['check', 'metrics'], { input: await response.text() })
    return said === '' ? 'no objection' : said
  },
}
