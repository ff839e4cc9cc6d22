import { createHmac, type KeyObject } from 'node:crypto'

/** A digest of a value for the audit trail: it shows whether two values are equal, and cannot be reversed by trying all phone numbers. */
export type Fingerprint = (value: unknown) => string

/** @param key of the installation; the same in every process */
export function fingerprints(key: KeyObject): Fingerprint {
  return value =>
    value === null || value === undefined
      ? 'none'
      : createHmac('sha256', key).update(JSON.stringify(value)).digest('hex').slice(0, 20)
}
