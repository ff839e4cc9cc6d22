/** Keyset pagination: a page of items, and a cursor after which the next page begins. */
import { type TSchema, Type } from 'typebox'
import { Problem } from './problem.ts'
import { orNull } from './schemas.ts'

export const ListQuery = {
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 4000 })),
}

export function listOf<T extends TSchema>(items: T) {
  return Type.Object({ items: Type.Array(items), next: orNull(Type.String()) })
}

/**
 * A page of rows.
 * @param list name of the list; cursors of other lists are refused
 * @param rows the rows of the page and one more, if there is one
 * @param keyOf the sort key of a row
 */
export function page<R>(list: string, rows: readonly R[], limit: number, keyOf: (row: R) => [string, string]) {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const next = rows.length > limit && last !== undefined ? encode([list, ...keyOf(last)]) : null
  return { items, next }
}

/** The sort key that a cursor holds; nulls for the first page. @throws {Problem} `invalid_cursor` for a cursor of another list */
export function parseCursor(
  list: string,
  cursor: string | undefined,
  kind: 'text' | 'time' | 'number',
): [string, string] | [null, null] {
  if (cursor === undefined) return [null, null]
  const parts = decode(cursor)
  if (Array.isArray(parts) && parts.length === 3 && parts.every(part => typeof part === 'string')) {
    const [of, key, id] = parts as [string, string, string]
    const fits = kind === 'text' || (kind === 'time' ? ISO_TIME.test(key) : [key, id].every(part => NUMBER.test(part)))
    if (of === list && fits) return [key, id]
  }
  throw new Problem('invalid_cursor', 'invalid cursor for this list')
}

const NUMBER = /^\d{1,9}$/
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

function encode(parts: readonly string[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

function decode(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return null
  }
}
