import { tenantSettings as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const tenantSettings = defineTable({
  name: 'tenant_settings',
  key: ['id'],
  columns: {
    id: text,
    settings_version: 'bigint',
    time_zone: text,
    support_from: text,
    support_to: text,
    quiet_from: text,
    quiet_to: text,
    country_code: text,
    language: text,
    control_trust: text,
    commands: 'jsonb',
    updated_by: text,
    updated_at: time,
    version: 'bigint',
  },
  from: {
    TenantSettings: {
      topics: [topic],
      rows: (settings, { version }) => ({
        id: settings.tenant,
        settings_version: settings.version,
        time_zone: settings.timeZone,
        support_from: settings.supportFrom,
        support_to: settings.supportTo,
        quiet_from: settings.quietFrom,
        quiet_to: settings.quietTo,
        country_code: settings.countryCode,
        language: settings.language,
        control_trust: lower(settings.controlTrust),
        commands: settings.commands,
        updated_by: settings.by,
        updated_at: settings.at,
        version,
      }),
    },
  },
  deletedBy: [topic],
  rebuild: 'replace',
})
