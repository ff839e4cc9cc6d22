/** The settings of tenants: what this process knows of them, and what the environment says at first. */
import { createHash } from 'node:crypto'
import { DEFAULT_TENANT, type TenantChoices } from '../domain/tenants.ts'
import { RECORD_ID } from '../engine/headers.ts'
import { startProjection } from '../engine/projection.ts'
import { Tenants } from '../processors/tenant/tenants.ts'
import { tenantInbox, tenantSettings } from '../topics/catalog.ts'
import type { Parts } from './parts.ts'

export interface RunningTenants {
  readonly tenants: Tenants
  readonly caughtUp: Promise<void>
  /** Calling code of phones that the default tenant writes without one, as of now. */
  countryCode(): string
  /** Gives the default tenant its first settings, those of the environment; later ones only by the API. */
  sayFirst(): Promise<void>
}

export function startTenants({ settings, log, codec, logger, closers, onError }: Parts): RunningTenants {
  const tenants = new Tenants()
  const { caughtUp, close } = startProjection({
    log,
    codec,
    topic: tenantSettings,
    onError: error => onError('settings of tenants', error),
    apply: (key, decoded) => {
      if (decoded?.type === 'TenantSettings') tenants.set(decoded.value)
      else tenants.remove(key)
    },
  })
  closers.push(close)
  const choices = settings.tenant
  return {
    tenants,
    caughtUp,
    countryCode: () => tenants.get(DEFAULT_TENANT)?.countryCode ?? choices.countryCode,
    async sayFirst() {
      const present = tenants.get(DEFAULT_TENANT)
      if (present !== null) return tellDifferences(choices, present, logger)
      // The same words are the same record: it is not taken twice.
      const id = createHash('sha256').update(JSON.stringify(choices)).digest('base64url')
      const value = codec.encode(tenantInbox.name, 'TenantChange', { id, first: true, ...choices, at: Date.now() })
      await log.append([{ topic: tenantInbox.name, key: DEFAULT_TENANT, value, headers: { [RECORD_ID]: id } }])
    },
  }
}

/** The environment has the first word only: whoever changes it later is told that it is not taken. */
function tellDifferences(choices: TenantChoices, present: TenantChoices, logger: Parts['logger']): void {
  for (const [name, value] of Object.entries(choices)) {
    const counts = present[name as keyof TenantChoices]
    if (value !== counts)
      logger.warn({ tenant: DEFAULT_TENANT, setting: name, environment: value, counts }, 'the setting of the tenant counts')
  }
}
