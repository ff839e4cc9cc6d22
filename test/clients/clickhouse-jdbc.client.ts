/** The driver of DBeaver, Metabase and Tableau, with its own defaults. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, run } from './client.ts'

const SOURCE = join(import.meta.dirname, 'clickhouse-jdbc')

export const client: Client = {
  title: 'clickhouse-jdbc 0.10.0: DBeaver, Metabase, Tableau',
  needs: ['java', 'mvn'],
  async prepare(folder) {
    cpSync(SOURCE, folder, { recursive: true })
    await run('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib'], { cwd: folder, timeoutMs: 600_000 })
  },
  run: ({ port, token }, folder) =>
    run('java', ['-cp', join(folder, 'lib/*'), join(folder, 'Jdbc.java')], { env: { PORT: port, TOKEN: token } }),
}
