/** The settings of tenants, in the memory of a process: what `tenant.settings` says, asked by look-ups. */
import type { Lookup } from '../../engine/actor.ts'
import type { TenantSettings } from '../../schemas/types.ts'

export class Tenants {
  readonly #byTenant = new Map<string, TenantSettings>()

  set(settings: TenantSettings): void {
    this.#byTenant.set(settings.tenant, { ...settings, commands: [] })
  }

  remove(tenant: string): void {
    this.#byTenant.delete(tenant)
  }

  /** Null for a tenant that has decided nothing. */
  get(tenant: string): TenantSettings | null {
    return this.#byTenant.get(tenant) ?? null
  }
}

/** Null where nothing newer is here than what is known: a process that lags behind gives no older settings back. */
export function tenantLookup(tenants: Tenants): Lookup<'TenantAsked', 'TenantSettings'> {
  return ({ tenant, known }) => {
    const settings = tenants.get(tenant)
    return settings === null || settings.version <= known ? null : settings
  }
}
