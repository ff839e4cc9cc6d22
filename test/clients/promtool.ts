/**
 * `promtool check metrics` on what a started service tells Prometheus: names, types, help.
 *
 *   PORT=3000 TOKEN=… node test/clients/promtool.ts
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, type Ran, run, runWell, service } from './cache.ts'

/** The program, of Debian's package, unpacked and not installed. */
async function installed(): Promise<string> {
  const folder = cacheFolder('prometheus')
  const program = join(folder, 'usr', 'bin', 'promtool')
  if (existsSync(program)) return program
  await runWell('apt-get', ['download', 'prometheus'], { cwd: folder })
  const [archive] = readdirSync(folder).filter(name => name.endsWith('.deb'))
  if (archive === undefined) throw new Error(`apt-get has put no package into ${folder}`)
  await runWell('dpkg', ['-x', join(folder, archive), folder])
  return program
}

/** What promtool says of the metrics; nothing, with 0, where it has no objection. */
export async function checkWithPromtool(url: string, token: string): Promise<Ran> {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`${url}/metrics answers ${response.status}`)
  return run(await installed(), ['check', 'metrics'], { input: await response.text() })
}

if (import.meta.main) {
  const { url, token } = service()
  const { code, said } = await checkWithPromtool(url, token)
  process.stdout.write(said === '' ? 'promtool has no objection\n' : said)
  process.exit(code)
}
