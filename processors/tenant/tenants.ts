/** The settings of tenants, in the memory of a process: what `tenant.settings` says, asked by look-ups. */
import { DEFAULT_CHOICES } from '../../domain/tenants.ts'
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

  /** Calling code of phones that the tenant writes without one. */
  countryCode(tenant: string): string {
    return this.get(tenant)?.countryCode ?? DEFAULT_CHOICES.countryCode
  }
}

/** Null where the settings are those that are known already. */
export function tenantLookup(tenants: Tenants): Lookup<'TenantAsked', 'TenantSettings'> {
  return ({ tenant, known }) => {
    const settings = tenants.get(tenant)
    return settings === null || settings.version === known ? null : settings
  }
}
