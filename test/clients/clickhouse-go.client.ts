/** What Grafana's data source for ClickHouse is made of. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, run } from './client.ts'

const SOURCE = join(import.meta.dirname, 'clickhouse-go')

export const client: Client = {
  title: 'clickhouse-go v2.51 over HTTP: Grafana',
  needs: ['go'],
  async prepare(folder) {
    cpSync(SOURCE, folder, { recursive: true })
    await run('go', ['mod', 'tidy'], { cwd: folder, timeoutMs: 600_000 })
    await run('go', ['build', '-o', 'client', '.'], { cwd: folder, timeoutMs: 600_000 })
  },
  run: ({ port, token }, folder) => run(join(folder, 'client'), [], { env: { PORT: port, TOKEN: token } }),
}
