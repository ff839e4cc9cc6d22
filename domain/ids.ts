/**
 * Ids of conversations: nobody can tell from one who writes, and nobody without the tenant's key can make one.
 */
import { createHmac, hash } from 'node:crypto'
import { DEFAULT_TENANT } from './tenants.ts'

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
/** 26 characters of base32 carry 130 bits. */
const LENGTH = 26

/**
 * The id of a conversation: `<tenant>:` and an HMAC-SHA256 of its parts, each with its length before it, so that no two
 * different triples are the same bytes.
 * @param tenantKey never changed for a tenant: with another key every conversation is a new one
 * @param account our account at the provider
 * @param chat the group or room, else the user's id
 */
export function conversationId(
  tenantKey: Buffer | string,
  channel: string,
  account: string,
  chat: string,
  tenant = DEFAULT_TENANT,
): string {
  const hmac = createHmac('sha256', tenantKey)
  for (const part of [channel, account, chat]) {
    const bytes = Buffer.from(part)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hmac.update(length).update(bytes)
  }
  return `${tenant}:${base32(hmac.digest()).slice(0, LENGTH)}`
}

/** RFC 4648 base32, lower case, without padding. */
function base32(bytes: Buffer): string {
  let out = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      out += ALPHABET[(value >>> bits) & 31]
    }
  }
  return out
}

/**
 * A provider's message id as it may be kept for ever: some providers' ids hold the sender's phone, so events carry a digest.
 */
export function reference(providerId: string): string {
  return hash('sha256', providerId, 'hex').slice(0, 20)
}
