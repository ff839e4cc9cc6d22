/** Settings of the installation. */
import { Type } from 'typebox'
import { permission } from '../access/principal.ts'
import type { Api } from '../types.ts'

const READ = permission('settings:read', ['admin', 'ops'])
export const permissions = { READ }

/** Settings that may be shown; none is a secret. */
export interface PublicSettings {
  readonly [name: string]: string | number | boolean | null
}

export function routes(app: Api, { settings = {} }: { settings?: PublicSettings }): void {
  app.get(
    '/settings',
    {
      config: { permission: READ, installationWide: true },
      schema: {
        summary: 'Settings of the installation, without secrets',
        response: { 200: Type.Record(Type.String(), Type.Any()) },
      },
    },
    async () => settings,
  )
}
