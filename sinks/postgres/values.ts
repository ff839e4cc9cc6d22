/** Values as Postgres takes them: no NUL in text or JSON, and times within the years its ISO format can express. */
import type { Cell, ColumnType } from './tables/table.ts'

/** A cell as the parameter of a statement. */
export function parameter(type: ColumnType, cell: Cell): unknown {
  if (cell === null) return null
  if (type === 'timestamptz') return isoTime(cell as number)
  if (type === 'jsonb') return JSON.stringify(cell, (_, value) => (typeof value === 'string' ? withoutNul(value) : value))
  return typeof cell === 'string' ? withoutNul(cell) : cell
}

const LAST_TIME_MS = Date.UTC(9999, 11, 31)

/** ISO 8601 of a time in ms, clamped to the years 1970 to 9999. */
export function isoTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_TIME_MS)).toISOString()
}

function withoutNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '') : text
}
