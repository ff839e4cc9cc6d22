/** What every role may do about itself. */
import { permission, ROLES } from './principal.ts'

export const SELF_READ = permission('self:read', ROLES)
export const SELF_WRITE = permission('self:write', ROLES)
