/** The settings of tenants in the memory of a process, as read from `tenant.settings`; look-ups ask it. */
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

  /** Null for a tenant without settings of its own. */
  get(tenant: string): TenantSettings | null {
    return this.#byTenant.get(tenant) ?? null
  }

  /** Calling code of phone numbers that the tenant writes without one. */
  countryCode(tenant: string): string {
    return this.get(tenant)?.countryCode ?? DEFAULT_CHOICES.countryCode
  }
}

/** Null when the asker already has the current version. */
export function tenantLookup(tenants: Tenants): Lookup<'TenantAsked', 'TenantSettings'> {
  return ({ tenant, known }) => {
    const settings = tenants.get(tenant)
    return settings === null || settings.version === known ? null : settings
  }
}
