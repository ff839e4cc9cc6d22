/**
 * API keys, for programs: `bma_<id>_<secret>`. The secret is random, shown once, and stored only as a digest; the id is public and
 * identifies the key in lists and in the audit trail.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'

/** The parts of a key; null for any other text. */
export function parseKey(text: string): { id: string; secret: string } | null {
  const [, id, secret] = /^bma_([0-9a-f]{16})_([\w-]{43})$/.exec(text) ?? []
  return id === undefined || secret === undefined ? null : { id, secret }
}

/** @param seed the same seed gives the same id, never the same secret */
export function makeKey(seed?: string): { id: string; key: string; hash: Buffer } {
  const id = seed === undefined ? randomBytes(8).toString('hex') : hash('sha256', seed).slice(0, 16)
  const secret = randomBytes(32).toString('base64url')
  return { id, key: `bma_${id}_${secret}`, hash: digest(secret) }
}

/** Whether the secret has this digest. Takes the same time if there is no such key. */
export function verifySecret(secret: string, kept: Buffer | undefined): boolean {
  const equal = timingSafeEqual(digest(secret), kept?.length === 32 ? kept : NONE)
  return equal && kept !== undefined
}

const NONE = Buffer.alloc(32)

function digest(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}
