/** Settings of a tenant: support hours, language, who may control. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { DEFAULT_CHOICES, LANGUAGES, type TenantChoices, wrongChoices } from '../../domain/tenants.ts'
import { tenantInbox } from '../../topics/catalog.ts'
import { type Principal, permission } from '../access/principal.ts'
import { WriteHeaders, written } from '../command-schemas.ts'
import type { Commands, CommandTarget } from '../commands.ts'
import { Problem } from '../problem.ts'
import { oneOf, Text, TextOrNull, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'

const READ = permission('tenants:read', ['admin', 'agent', 'ops'])
const CHANGE = permission('tenants:change', ['admin'])
export const permissions = { READ, CHANGE }

const TENANT: CommandTarget = { name: 'tenant', inbox: tenantInbox, profiles: 'tenant_settings' }
export const targets = [TENANT]

const TimeOfDay = Type.String({ pattern: '^\\d\\d:\\d\\d$', description: 'HH:MM in the time zone of the tenant' })
const TimeOfDayOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: '^\\d\\d:\\d\\d$' })
const CONTROL_TRUST = ['claimed', 'hinted', 'bound'] as const

const Changes = Type.Partial(
  Type.Object({
    timeZone: Type.String({ maxLength: 100, description: 'IANA time zone, or an offset such as +07:00' }),
    supportFrom: TimeOfDay,
    supportTo: TimeOfDay,
    quietFrom: TimeOfDayOrNull,
    quietTo: TimeOfDayOrNull,
    countryCode: Type.String({ pattern: '^[1-9]\\d{0,2}$', description: 'Calling code of phone numbers written without one' }),
    language: oneOf(...LANGUAGES),
    controlTrust: oneOf(...CONTROL_TRUST),
    version: Type.Integer({ minimum: 0, description: 'The version that was read; refused if the settings have changed since' }),
  }),
  { additionalProperties: false },
)

const Settings = Type.Object({
  tenant: Text,
  version: Type.Integer(),
  timeZone: Text,
  supportFrom: Text,
  supportTo: Text,
  quietFrom: TextOrNull,
  quietTo: TextOrNull,
  countryCode: Text,
  language: Text,
  controlTrust: oneOf(...CONTROL_TRUST),
  updatedBy: Text,
  updatedAt: TimeOrNull,
})
type Settings = Static<typeof Settings>

const Params = Type.Object({ tenant: Type.String({ minLength: 1, maxLength: 50 }) })

export function routes(app: Api, { pool, commands }: { pool: pg.Pool; commands: Commands }): void {
  app.get(
    '/tenants/:tenant/settings',
    {
      config: { permission: READ },
      schema: { summary: 'Settings of a tenant', params: Params, response: { 200: Settings } },
    },
    async ({ params, principal }) => settingsOf(pool, principal, params.tenant),
  )

  app.patch(
    '/tenants/:tenant/settings',
    {
      config: { permission: CHANGE, action: 'tenants.change' },
      schema: {
        summary: 'Change settings of a tenant; fields that are not sent stay as they are',
        params: Params,
        headers: WriteHeaders,
        body: Changes,
        response: written,
      },
    },
    async (request, reply) => {
      const { principal, body } = request
      const { tenant } = request.params
      const before = await settingsOf(pool, principal, tenant)
      const choices = changed(before, body)
      for (const [field, why] of Object.entries(wrongChoices(choices))) throw new Problem('invalid_body', `${field}: ${why}`)
      const names = Object.keys(body).filter(name => name !== 'version') as (keyof Settings)[]
      const shown = (settings: object) => names.map(name => `${name} ${String(settings[name as never])}`).join(', ')
      Object.assign(request.audited, { before: shown(before), after: shown({ ...before, ...body }) })
      return commands.submit(request, reply, {
        target: TENANT.name,
        object: tenant,
        topic: tenantInbox,
        key: tenant,
        type: 'TenantChange',
        record: (id, at) => ({ id, expected: body.version ?? before.version, ...choices, by: principal.id, at }),
      })
    },
  )
}

function changed(before: Settings, changes: Static<typeof Changes>): TenantChoices {
  const { timeZone, supportFrom, supportTo, quietFrom, quietTo, countryCode, language, controlTrust } = {
    ...before,
    ...(changes as Partial<Settings>),
  }
  const trust = controlTrust.toUpperCase() as Uppercase<typeof controlTrust>
  return { timeZone, supportFrom, supportTo, quietFrom, quietTo, countryCode, language, controlTrust: trust }
}

/** @throws {Problem} `not_found` for a tenant that the principal does not see as a whole */
async function settingsOf(pool: pg.Pool, { scope }: Principal, tenant: string): Promise<Settings> {
  if (scope.tenant !== tenant || scope.regions !== null || scope.venues !== null)
    throw new Problem('not_found', `there is no tenant "${tenant}"`)
  const { rows } = await pool.query<Settings>({
    name: 'tenant-settings',
    text: `SELECT id AS tenant, settings_version::float8 AS version, time_zone AS "timeZone", support_from AS "supportFrom",
           support_to AS "supportTo", quiet_from AS "quietFrom", quiet_to AS "quietTo", country_code AS "countryCode", language,
           control_trust AS "controlTrust", updated_by AS "updatedBy", updated_at AS "updatedAt" FROM tenant_settings WHERE id = $1`,
    values: [tenant],
  })
  const { controlTrust, ...choices } = DEFAULT_CHOICES
  const undecided = { controlTrust: controlTrust.toLowerCase() as Settings['controlTrust'], updatedBy: '', updatedAt: null }
  return rows[0] ?? { tenant, version: 0, ...choices, ...undecided }
}
