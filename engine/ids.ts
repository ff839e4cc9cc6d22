import { hash } from 'node:crypto'

/** Namespace of the ids that actors make. */
const NAMESPACE = '5f0c5c52-7d0b-4f0e-9b5c-3c7c1d0f8e11'
const namespace = Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex').toString('latin1')

/** UUIDv5 (RFC 9562, 5.5) of a name in the actors' namespace. */
export function uuid5(name: string): string {
  const digest = hash('sha1', Buffer.from(namespace + Buffer.from(name).toString('latin1'), 'latin1'), 'hex')
  const variant = ((Number.parseInt(digest[16] as string, 16) & 0x3) | 0x8).toString(16)
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-${variant}${digest.slice(17, 20)}-${digest.slice(20, 32)}`
}
