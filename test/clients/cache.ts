/** Where clients of other languages are kept that the checks here fetch themselves, and how they are run. */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** A folder of a client, made where it is not there. */
export function cacheFolder(client: string): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'bma-social-clients', client)
  mkdirSync(folder, { recursive: true })
  return folder
}

export interface Ran {
  readonly code: number
  readonly said: string
}

/** Runs a program and gives what it said. @throws when there is no such program */
export function run(command: string, args: readonly string[], options: { cwd?: string; input?: string } = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (said += text))
    child.on('error', reject)
    child.on('close', code => resolve({ code: code ?? 1, said }))
    child.stdin.end(options.input ?? '')
  })
}

/** As `run`. @throws when it fails, with what it said */
export async function runWell(command: string, args: readonly string[], options: { cwd?: string } = {}): Promise<void> {
  const { code, said } = await run(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${said}`)
}

/** The service to be asked: `URL`, or `PORT` here, and `TOKEN` of an admin. */
export function service(): { readonly url: string; readonly token: string } {
  const { URL: url = `http://127.0.0.1:${process.env.PORT ?? '3000'}`, TOKEN: token = '' } = process.env
  return { url, token }
}
