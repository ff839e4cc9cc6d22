/**
 * Schemathesis against a started service: every operation of its OpenAPI document, with what fits and what does not.
 *
 *   PORT=3000 TOKEN=… node test/clients/schemathesis.ts [options of `schemathesis run`]
 *
 * It writes: users, keys, notes, commands. Start the service on a folder of its own, with RATE_LIMIT_… raised.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, type Ran, run, runWell, service } from './cache.ts'

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

/** The program, from PyPI, in an environment of its own. */
async function installed(): Promise<string> {
  const folder = cacheFolder('schemathesis')
  const program = join(folder, 'bin', 'schemathesis')
  if (existsSync(program) && (await run(program, ['--version'])).said.includes(VERSION)) return program
  await runWell('python3', ['-m', 'venv', folder])
  await runWell(join(folder, 'bin', 'pip'), ['install', '--quiet', `schemathesis==${VERSION}`])
  return program
}

export async function checkWithSchemathesis(url: string, token: string, more: readonly string[] = []): Promise<Ran> {
  const program = await installed()
  const args = ['run', `${url}/openapi.json`, '--url', url, '--header', `Authorization: Bearer ${token}`]
  args.push('--checks', CHECKS.join(','), '--phases', 'examples,coverage,fuzzing', '--max-examples', '20', '--workers', '2')
  args.push('--seed', '1', '--suppress-health-check', 'all', '--request-timeout', '15', '--no-color')
  args.push('--exclude-path-regex', `^(${LEFT_OUT.join('|')})`)
  const cwd = cacheFolder('schemathesis')
  writeFileSync(join(cwd, 'schemathesis.toml'), CONFIG)
  return run(program, [...args, ...more], { cwd })
}

if (import.meta.main) {
  const { url, token } = service()
  const { code, said } = await checkWithSchemathesis(url, token, process.argv.slice(2))
  process.stdout.write(said)
  process.exit(code)
}
