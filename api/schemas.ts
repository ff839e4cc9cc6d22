/** Schemas that several routes share. */
import { type Static, type TSchema, Type } from 'typebox'

export const Text = Type.String()
/** A time: a Date in rows and handlers, ISO 8601 in UTC in the response. */
export const Time = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
/** `type: [..., 'null']` rather than `anyOf`, for which the serializer would validate each value. */
export function orNull<S extends TSchema & { type?: unknown }>(schema: S, options: { description?: string } = {}) {
  return Type.Unsafe<Static<S> | null>({ ...schema, type: [schema.type, 'null'], ...options })
}
export const TextOrNull = orNull(Text)
export const TimeOrNull = orNull(Time)
export const IntegerOrNull = orNull(Type.Integer())

/** Path of one resource. Ids contain colons, URL-encoded or not. */
export const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 500 }) })

/** A time column in the form of the response, for JSON that Postgres builds. */
export function isoSql(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}

export function oneOf<const T extends string>(...values: T[]) {
  return Type.Unsafe<T>({ type: 'string', enum: values })
}

export const NotModified = Type.Unsafe<undefined>({ type: 'null', description: 'Not modified since the ETag in If-None-Match' })
