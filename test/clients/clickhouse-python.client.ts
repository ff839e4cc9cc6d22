/** Python: clickhouse-connect, and SQLAlchemy with both of its dialects, as Superset has it. */
import { join } from 'node:path'
import { type Client, run } from './client.ts'

const PACKAGES = ['clickhouse-connect==1.12.0', 'clickhouse-sqlalchemy==0.3.2', 'SQLAlchemy==2.0.58']

export const client: Client = {
  title: 'clickhouse-connect 1.12.0, clickhouse-sqlalchemy 0.3.2: Python, Superset',
  needs: ['python3'],
  async prepare(folder) {
    await run('python3', ['-m', 'venv', join(folder, 'venv')])
    await run(join(folder, 'venv/bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ...PACKAGES], {
      timeoutMs: 600_000,
    })
  },
  run: ({ port, token }, folder) =>
    run(join(folder, 'venv/bin/python'), ['-W', 'ignore', join(import.meta.dirname, 'clickhouse-python/connect.py')], {
      env: { PORT: port, TOKEN: token },
    }),
}
