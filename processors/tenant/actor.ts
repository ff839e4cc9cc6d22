/**
 * The settings of a tenant. One actor numbers each change, so that comparing versions tells whether anything has changed.
 *
 *   the environment, the API ─▶ TenantChange ─▶ TenantSettings on tenant.settings ─▶ look-ups of conversations and venues
 */
import { type TenantChoices, wrongChoices } from '../../domain/tenants.ts'
import { actor, type Context } from '../../engine/actor.ts'
import type { TenantChange, TenantSettings } from '../../schemas/types.ts'
import { tenantInbox, tenantSettings } from '../../topics/catalog.ts'

type TenantContext = Context<typeof tenantSettings>

/** The actor of a tenant, by the tenant's name. */
export const tenantActor = () =>
  actor({
    name: 'tenant',
    inbox: tenantInbox,
    state: 'TenantSettings',
    emits: [tenantSettings],
    on: { TenantChange: change },
  })

function change(before: TenantSettings | null, command: TenantChange, context: TenantContext): TenantSettings | null {
  const { id: _, expected, first, by, at: __, ...choices } = command
  // The environment sets only the first version.
  if (first && before !== null) return before
  const refusal = refusalOf(before, expected, choices)
  if (refusal !== null) {
    context.refuse(refusal.code, refusal.detail)
    if (before !== null) publish(before, context)
    return before
  }
  const { key, now } = context
  const after = { tenant: key, version: (before?.version ?? 0) + 1, ...choices, by, at: now, commands: [] }
  publish(after, context)
  return after
}

/** Why a change is refused: a code, and a text for people. */
interface Refusal {
  readonly code: string
  readonly detail: string
}

function refusalOf(before: TenantSettings | null, expected: number | null, choices: TenantChoices): Refusal | null {
  const version = before?.version ?? 0
  if (expected !== null && expected !== version)
    return { code: 'conflict', detail: `the settings have version ${version} by now, and ${expected} was changed` }
  const [wrong] = Object.entries(wrongChoices(choices))
  return wrong === undefined ? null : { code: 'invalid', detail: `${wrong[0]}: ${wrong[1]}` }
}

function publish(settings: TenantSettings, context: TenantContext): void {
  const { key, commands } = context
  context.emit(tenantSettings, key, 'TenantSettings', { ...settings, commands: [...commands] })
}
