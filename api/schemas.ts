/** Forms that several routes share. */
import { type Static, type TSchema, Type } from 'typebox'

export const Text = Type.String()
/** A time: a Date in rows and handlers, ISO 8601 in UTC in the answer. */
export const Time = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
/** `type: [..., 'null']` rather than `anyOf`, which makes the serializer validate each value to find out which it is. */
export function orNull<S extends TSchema & { type?: unknown }>(schema: S, options: { description?: string } = {}) {
  return Type.Unsafe<Static<S> | null>({ ...schema, type: [schema.type, 'null'], ...options })
}
export const TextOrNull = orNull(Text)
export const TimeOrNull = orNull(Time)
export const IntegerOrNull = orNull(Type.Integer())

/** Path of one thing. Ids hold colons, and come URL-encoded or not. */
export const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 500 }) })

/** A column as it is answered, for JSON that Postgres makes. */
export function isoSql(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}

export function oneOf<const T extends string>(...values: T[]) {
  return Type.Unsafe<T>({ type: 'string', enum: values })
}

export const NotModified = Type.Unsafe<undefined>({ type: 'null', description: 'as the ETag in If-None-Match has it' })
