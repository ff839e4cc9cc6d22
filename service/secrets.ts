/** Secrets and names that an installation makes once and keeps in its data folder. */
import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { ConfigError, weakness } from '../config.ts'

/**
 * A secret of this installation, created once.
 * @param allowWeak whether it is accepted however weak it is
 * @throws {ConfigError} for a secret that could be guessed, such as one written by hand or only half written
 */
export function loadOrCreateSecret(file: string, bytes: number, allowWeak = false): string {
  const secret = loadOrCreate(file, bytes)
  const why = weakness(secret)
  if (why === null || (allowWeak && secret !== '')) return secret
  throw new ConfigError([
    `${file} ${why}: anyone who guesses it gets access; write another into it with "openssl rand -hex 32", or remove it to have one made ` +
      '(the tenant key alone stays as it was where conversations are kept under it: TENANT_KEY_KEPT=1)',
  ])
}

/** A random text, created once and kept in a file that only its owner can read. */
export function loadOrCreate(file: string, bytes: number): string {
  if (!existsSync(file)) {
    // Written completely or not at all; if two processes create it at once, both use the first.
    const made = `${file}.${process.pid}`
    writeFileSync(made, `${randomBytes(bytes).toString('base64url')}\n`, { mode: 0o600 })
    try {
      linkSync(made, file)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      rmSync(made)
    }
  }
  return readFileSync(file, 'utf8').trim()
}
