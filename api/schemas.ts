/** Forms that several routes share. */
import { Type } from 'typebox'

export const Text = Type.String()
/** A time: a Date in rows and handlers, ISO 8601 in UTC in the answer. */
export const Time = Type.Unsafe<Date>({ type: 'string', format: 'date-time' })
export const TextOrNull = Type.Union([Text, Type.Null()])
export const TimeOrNull = Type.Union([Time, Type.Null()])
export const IntegerOrNull = Type.Union([Type.Integer(), Type.Null()])

/** Path of one thing. Ids hold colons, and come URL-encoded or not. */
export const IdParams = Type.Object({ id: Type.String({ minLength: 1, maxLength: 500 }) })

export function oneOf<const T extends string>(...values: T[]) {
  return Type.Unsafe<T>({ type: 'string', enum: values })
}

export const NotModified = Type.Unsafe<undefined>({ type: 'null', description: 'as the ETag in If-None-Match has it' })
