/** What alerts and issues share: the department that deals with them, and their priority. */
import { Type } from 'typebox'
import { oneOf } from '../schemas.ts'

export const Department = oneOf('operations', 'design', 'sales', 'finance', 'general', 'unknown')
export const Priority = oneOf('critical', 'high', 'normal', 'info', 'unknown')

/** Filters of their lists. */
export const filters = {
  department: Type.Optional(Department),
  priority: Type.Optional(Priority),
  venue: Type.Optional(Type.String({ maxLength: 500 })),
}
