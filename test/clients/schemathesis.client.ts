/**
 * Schemathesis: every operation of the OpenAPI document, with what fits and what does not. It writes users, keys, notes and commands.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, run } from './client.ts'

const VERSION = '4.32.5'
/** A stream without end, what ends the session that asks, SQL, whose errors are those of ClickHouse, and the demo. */
const LEFT_OUT = ['/api/v1/live', '/api/v1/logout', '/clickhouse', '/demo']
/** An address or a header that is too long is refused as that. */
const CONFIG = `[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 414, 415, 422, 431]
`
/** What a document promises; that everything which fits is taken is not among it: an actor may refuse it. */
const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'unsupported_method',
  'ignored_auth',
  'missing_required_header',
]

const LAST_LINES = 25

export const client: Client = {
  title: `Schemathesis ${VERSION}`,
  needs: ['python3'],
  async prepare(folder) {
    await run('python3', ['-m', 'venv', join(folder, 'venv')])
    const pip = join(folder, 'venv/bin/pip')
    await run(pip, ['install', '--quiet', '--disable-pip-version-check', `schemathesis==${VERSION}`], { timeoutMs: 600_000 })
    writeFileSync(join(folder, 'schemathesis.toml'), CONFIG)
  },
  async run({ url, token }, folder) {
    const args = ['run', `${url}/openapi.json`, '--url', url, '--header', `Authorization: Bearer ${token}`]
    args.push('--checks', CHECKS.join(','), '--phases', 'examples,coverage,fuzzing', '--max-examples', '20', '--workers', '2')
    args.push('--seed', '1', '--suppress-health-check', 'all', '--request-timeout', '15', '--no-color')
    args.push('--exclude-path-regex', `^(${LEFT_OUT.join('|')})`)
    const said = await run(join(folder, 'venv/bin/schemathesis'), args, { cwd: folder, timeoutMs: 1_200_000 })
    return said.split('\n').slice(-LAST_LINES).join('\n')
  },
}
