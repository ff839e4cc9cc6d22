/** Passwords, kept as argon2id. */
import { hash, verify } from '@node-rs/argon2'
import { Type } from 'typebox'

/** As OWASP's password storage cheat sheet has it: 19 MiB, two passes, one lane. Argon2id is the library's default. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** A password that is set. */
export const NewPassword = Type.String({ minLength: 12, maxLength: 200 })

export function hashPassword(password: string): Promise<string> {
  return hash(password, COST)
}

/** Takes the same time where there is nothing to compare with. @param kept null where nobody has such a password */
export async function isPassword(password: string, kept: string | null): Promise<boolean> {
  const good = await verify(kept ?? NOBODYS, password)
  return good && kept !== null
}

/** A hash of the same cost, of no password. */
const NOBODYS = `$argon2id$v=19$m=${COST.memoryCost},t=${COST.timeCost},p=${COST.parallelism}$${'A'.repeat(22)}$${'A'.repeat(43)}`
