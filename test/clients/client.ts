/** A program of others that asks the service, as its users run it. Each is a file `<name>.client.ts` here, found by its name. */
import { spawn } from 'node:child_process'

export interface Service {
  /** Without a slash at the end. */
  readonly url: string
  readonly port: string
  /** Of an administrator. */
  readonly token: string
}

export interface Client {
  /** With its version. */
  readonly title: string
  /** Programs of the machine that it needs, such as `go`. */
  readonly needs: readonly string[]
  /** Fetches what it is made of into a folder of its own, which is kept from run to run. */
  prepare?(folder: string): Promise<void>
  /** Resolves with what it said. @throws with what it said, when that is wrong */
  run(service: Service, folder: string): Promise<string>
}

/** Runs a program to its end. @throws with what it said last, when it fails */
export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>>; timeoutMs?: number; input?: string } = {},
): Promise<string> {
  const { cwd, env = {}, timeoutMs = 120_000, input = '' } = options
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => (said += chunk))
  child.stdin.on('error', () => {}) // it has read as much as it wanted
  child.stdin.end(input)
  const ended = await new Promise<string | number>(resolve => {
    child.once('error', error => resolve(error.message))
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'ended'))
  })
  if (ended !== 0) throw new Error(`${command} ended with ${ended}:\n${said.trim().split('\n').slice(-20).join('\n')}`)
  return said.trim()
}
