/** For tests of every route: the routes of the OpenAPI document, and valid requests for them. */
export interface Schema {
  readonly type?: string | string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly enum?: readonly unknown[]
  readonly format?: string
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly additionalProperties?: boolean
}
export interface Operation {
  readonly 'x-permission'?: string
  readonly 'x-whole'?: boolean
  readonly security?: unknown
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: Schema }[]
  readonly responses?: Readonly<Record<string, { content?: Readonly<Record<string, { schema?: Schema }>> }>>
  readonly requestBody?: { content: { 'application/json': { schema: Schema } } }
}
export interface Route {
  readonly method: string
  readonly path: string
  readonly operation: Operation
}

/** Every route of a server, from its document. */
export async function routesOf(url: string): Promise<Route[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, Operation>>
  }
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
}

/** Whether it requires a token. */
export const isGuarded = ({ path, operation }: Route): boolean =>
  path.startsWith('/api/') && Array.isArray(operation.security) && operation.security.length > 0

/** Whether the response does not end. */
export const endless = ({ path }: Route): boolean => path === '/api/v1/live'

/** A valid value. */
export function sample(schema: Schema, name = ''): unknown {
  if (schema.enum !== undefined) return schema.enum[0]
  const type = [schema.type].flat().find(t => t !== 'null')
  if (type === 'object' || schema.properties !== undefined)
    return Object.fromEntries((schema.required ?? []).map(key => [key, sample(schema.properties?.[key] as Schema, key)]))
  if (type === 'array') return []
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (schema.format === 'date-time') return '2026-05-01T00:00:00.000Z'
  if (name === 'email') return `${Math.random().toString(36).slice(2)}@example.com`
  return 'a'.repeat(Math.max(12, schema.minLength ?? 0))
}

export const IDS: Readonly<Record<string, (own: boolean) => string>> = {
  venues: own => (own ? 'main:v1' : 'main:v3'),
  conversations: own => (own ? 'main:c0' : 'main:foreign'),
  quarantine: () => '0-0',
  users: () => 'main:nobody',
  'api-keys': () => 'nobody',
  commands: () => 'nobody',
}

export function pathOf({ path }: Route, own = true): string {
  const kind = path.split('/')[3] as string
  return path
    .replace('{id}', encodeURIComponent(IDS[kind]?.(own) ?? 'x'))
    .replace('{field}', 'notes')
    .replace('{tenant}', 'main')
    .replace('{inbox}', 'venue.inbox')
    .replace('{partition}', '0')
}
