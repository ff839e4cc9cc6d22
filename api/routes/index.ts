/**
 * Every group of routes under /api/v1. A group is a module that exports
 *
 *   permissions   what its routes require
 *   targets       the kinds of objects that its routes give commands to, if any
 *   routes        adds the routes
 *
 * To add one, write the module and list it here.
 */
import type { KeyObject } from 'node:crypto'
import type { Fingerprint } from '../access/fingerprint.ts'
import type { Identities } from '../access/identities.ts'
import type { Permission } from '../access/principal.ts'
import type { Throttle } from '../access/throttle.ts'
import type { Tokens } from '../access/tokens.ts'
import { permissions as analytics } from '../analytics/clickhouse.ts'
import type { Commands, CommandTarget } from '../commands.ts'
import type { ConversationCache } from '../conversation-cache.ts'
import type { ApiOptions } from '../options.ts'
import type { TaskList } from '../tasks.ts'
import type { Api } from '../types.ts'
import * as alerts from './alerts.ts'
import * as apiKeys from './api-keys.ts'
import * as audit from './audit.ts'
import * as cache from './cache.ts'
import * as commands from './commands.ts'
import * as conversationActions from './conversation-actions.ts'
import * as conversations from './conversations.ts'
import * as issues from './issues.ts'
import * as live from './live.ts'
import * as login from './login.ts'
import * as persons from './persons.ts'
import * as quarantine from './quarantine.ts'
import * as settings from './settings.ts'
import * as syncRuns from './sync-runs.ts'
import * as tasks from './tasks.ts'
import * as tenants from './tenants.ts'
import * as users from './users.ts'
import * as venueOverrides from './venue-overrides.ts'
import * as venues from './venues.ts'

/** What the routes are given. */
export type RouteContext = ApiOptions & {
  readonly tokens: Tokens
  readonly throttle: Throttle
  readonly identities: Identities
  readonly commands: Commands
  readonly tasks: TaskList
  readonly conversations: ConversationCache
  readonly fingerprint: Fingerprint
  readonly bookmarks: KeyObject
  readonly permissions: readonly Permission[]
}

export interface RouteGroup {
  readonly permissions?: Readonly<Record<string, Permission>>
  readonly targets?: readonly CommandTarget[]
  readonly routes: (app: Api, context: RouteContext) => void
}

export const ROUTES: readonly RouteGroup[] = [
  venues,
  venueOverrides,
  conversations,
  conversationActions,
  alerts,
  issues,
  syncRuns,
  quarantine,
  tasks,
  audit,
  cache,
  settings,
  tenants,
  users,
  apiKeys,
  persons,
  commands,
  live,
  login,
]

/** Every permission, each once. */
export const PERMISSIONS: readonly Permission[] = [
  ...new Set([...ROUTES.map(group => group.permissions ?? {}), analytics].flatMap(of => Object.values(of))),
]

export const COMMAND_TARGETS: readonly CommandTarget[] = ROUTES.flatMap(({ targets = [] }) => targets)
