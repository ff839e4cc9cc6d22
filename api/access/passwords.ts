/** Passwords, stored as argon2id hashes. */
import { hash, verify } from '@node-rs/argon2'
import { Type } from 'typebox'

/** As OWASP's Password Storage Cheat Sheet recommends: 19 MiB, two passes, one lane. Argon2id is the library's default. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** A password to be set. */
export const NewPassword = Type.String({ minLength: 12, maxLength: 200 })

export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

/** Takes the same time if there is no hash to compare with. @param stored null if the account has no password */
export async function verifyPassword(password: string, stored: string | null): Promise<boolean> {
  const good = await verify(stored ?? NO_PASSWORD, password)
  return good && stored !== null
}

/** A hash of the same cost that no password has. */
const NO_PASSWORD = `$argon2id$v=19$m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`
