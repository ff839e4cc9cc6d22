/** Quarantine: records that could not be handled, to be inspected, repaired, retried or dropped. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { isRecordName, piiPaths } from '../../schemas/index.ts'
import type { RecordName } from '../../schemas/types.ts'
import { allTopics, type Topic } from '../../topics/catalog.ts'
import { type Codec, CodecError } from '../../topics/codec.ts'
import { WriteHeaders, written } from '../command-schemas.ts'
import type { Commands } from '../commands.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { maskPaths } from '../masks.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { permission, seesPersonalData } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { oneOf, orNull, Text, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

const READ = permission('quarantine:read', ['admin', 'ops'])
const WRITE = permission('quarantine:write', ['admin', 'ops'])
export const permissions = { READ, WRITE }

const DECISIONS = ['skip', 'park', 'drop', 'refused', 'unknown'] as const

const item = {
  id: Type.String({ description: 'Position in the dead letters: partition-offset' }),
  topic: Text,
  partition: Type.Integer(),
  offset: Type.Integer(),
  key: Text,
  recordType: Text,
  decision: oneOf(...DECISIONS),
  cause: Text,
  codeVersion: Text,
  at: Time,
}
const Letter = Type.Object(item)
const LetterDetail = Type.Object({
  ...item,
  value: Type.Any({ description: 'The record as JSON, bytes in base64; null if it cannot be decoded' }),
  unreadable: orNull(Text, { description: 'Why it cannot be decoded' }),
  bytes: orNull(Type.Integer(), { description: 'Size of the whole record, if only its beginning is stored' }),
  raw: Type.String({ description: 'The encoded record, base64; empty for roles without access to personal data' }),
})

const ITEM = `log_partition || '-' || log_offset AS id, topic, partition, "offset"::float8 AS "offset", key, record_type AS "recordType",
  decision, cause, code_version AS "codeVersion", at`

const Params = Type.Object({ id: Type.String({ pattern: '^\\d{1,9}-\\d{1,15}$' }) })

interface Context {
  readonly pool: pg.Pool
  readonly codec: Codec
  readonly commands: Commands
  readonly fingerprint: Fingerprint
}
/** `bytes`: size of the whole record if `value` is only its beginning, null otherwise. */
type Row = Static<typeof Letter> & { value: Buffer; bytes: number | null }

export function routes(app: Api, { pool, codec, commands, fingerprint }: Context): void {
  app.get(
    '/quarantine',
    {
      config: { permission: READ, installationWide: true, personal: true },
      schema: {
        summary: 'Records that could not be handled, newest first',
        querystring: Type.Object(
          {
            ...ListQuery,
            topic: Type.Optional(Type.String({ maxLength: 200 })),
            key: Type.Optional(Type.String({ maxLength: 500 })),
            decision: Type.Optional(oneOf(...DECISIONS)),
          },
          { additionalProperties: false },
        ),
        response: { 200: listOf(Letter) },
      },
    },
    async ({ query, principal }) => {
      const { limit, cursor, topic = null, key = null, decision = null } = query
      const [at, id] = parseCursor('quarantine', cursor, 'time')
      const [partition, offset] = id === null ? [null, null] : id.split('-')
      const { rows } = await pool.query<Static<typeof Letter>>(
        `SELECT ${ITEM} FROM dead_letters
         WHERE ($1::text IS NULL OR topic = $1) AND ($2::text IS NULL OR key = $2) AND ($3::text IS NULL OR decision = $3)
           AND ($4::timestamptz IS NULL OR (at, log_partition, log_offset) < ($4, $5::integer, $6::bigint))
         ORDER BY at DESC, log_partition DESC, log_offset DESC LIMIT $7`,
        [topic, key, decision, at, partition, offset, limit + 1],
      )
      // The cause may quote a record, and with it personal data.
      const shown = seesPersonalData(principal) ? rows : rows.map(row => ({ ...row, cause: row.cause.slice(0, 200) }))
      return page('quarantine', shown, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.get(
    '/quarantine/:id',
    {
      config: { permission: READ, installationWide: true, personal: true },
      schema: { summary: 'A record that could not be handled, decoded', params: Params, response: { 200: LetterDetail } },
    },
    async ({ params: { id }, principal }) => {
      const { value: raw, ...letter } = await read(id)
      const seesAll = seesPersonalData(principal)
      try {
        await codec.prepare([{ value: raw } as never])
        const { type, value } = codec.decode(raw)
        const json = JSON.parse(JSON.stringify(value, asText))
        return {
          ...letter,
          value: seesAll ? json : maskPaths(json, piiPaths(type)),
          unreadable: null,
          raw: seesAll ? raw.toString('base64') : '',
        }
      } catch (error) {
        if (!(error instanceof CodecError)) throw error
        return { ...letter, value: null, unreadable: error.message, raw: seesAll ? raw.toString('base64') : '' }
      }
    },
  )

  app.post(
    '/quarantine/:id/redrive',
    {
      config: { permission: WRITE, installationWide: true, personal: true, action: 'quarantine.redrive' },
      schema: {
        summary: 'Retry a parked record, unchanged or repaired; the records waiting behind it follow',
        params: Params,
        headers: WriteHeaders,
        body: Type.Object(
          { value: Type.Optional(Type.Any({ description: 'The repaired record, of the same type' })) },
          { additionalProperties: false },
        ),
        response: written,
      },
    },
    async (request, reply) =>
      redrive(request, reply, request.params.id, { drop: false, value: (request.body as { value?: unknown }).value }),
  )

  app.post(
    '/quarantine/:id/drop',
    {
      config: { permission: WRITE, installationWide: true, personal: true, action: 'quarantine.drop' },
      schema: {
        summary: 'Drop a parked record; the records waiting behind it follow',
        params: Params,
        headers: WriteHeaders,
        response: written,
      },
    },
    async (request, reply) => redrive(request, reply, request.params.id, { drop: true, value: undefined }),
  )

  async function redrive(
    request: FastifyRequest,
    reply: FastifyReply,
    id: string,
    { drop, value }: { drop: boolean; value: unknown },
  ): Promise<FastifyReply> {
    const letter = await read(id)
    const topic = allTopics().find(t => t.name === letter.topic) as Topic<'Redrive'> | undefined
    if (letter.decision !== 'park' || topic === undefined)
      throw new Problem(
        'conflict',
        `only parked records can be retried or dropped; this one has the decision "${letter.decision}"`,
      )
    if (!drop && value === undefined && letter.bytes !== null) {
      const { length } = letter.value
      const source = `${letter.topic}/${letter.partition}/${letter.offset}`
      throw new Problem(
        'conflict',
        `only the first ${length} of ${letter.bytes} bytes of this record are stored: send the whole record as "value", read from ${source}, or drop it`,
      )
    }
    const repaired = value === undefined ? null : encode(topic, letter, value)
    request.audited.before = `${letter.recordType} ${fingerprint(letter.value.toString('base64'))}`
    request.audited.after = drop
      ? 'dropped'
      : repaired === null
        ? 'retried'
        : `repaired ${fingerprint(repaired.toString('base64'))}`
    return commands.submit(request, reply, {
      target: commands.targetOf(topic.name)?.name ?? 'dead_letter',
      object: letter.key,
      audited: id,
      topic,
      key: letter.key,
      type: 'Redrive',
      record: command => ({ id: command, offset: letter.offset, drop, value: repaired, by: request.principal.id }),
    })
  }

  /** @throws {Problem} `invalid_record`, naming the field and its value */
  function encode(topic: Topic, { recordType }: Row, value: unknown): Buffer {
    if (!isRecordName(recordType))
      throw new Problem('invalid_record', `record type "${recordType}" is unknown to this version of the service`)
    try {
      return codec.encode(topic.name, recordType as RecordName, bytesOf(value) as never)
    } catch (error) {
      if (error instanceof CodecError) throw new Problem('invalid_record', error.message)
      throw new Problem('invalid_record', `${recordType}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async function read(id: string): Promise<Row> {
    const [partition, offset] = id.split('-')
    const { rows } = await pool.query<Row>(
      `SELECT ${ITEM}, value, nullif(bytes, -1) AS bytes FROM dead_letters WHERE log_partition = $1 AND log_offset = $2`,
      [partition, offset],
    )
    if (rows[0] === undefined) throw new Problem('not_found', `no record in quarantine with the id "${id}"`)
    return rows[0]
  }
}

/** Bytes become `{"base64": "…"}`, the form that `value` accepts. */
function asText(_key: string, value: unknown): unknown {
  const bytes = value as { type?: unknown; data?: unknown } | null
  if (bytes?.type === 'Buffer' && Array.isArray(bytes.data)) return { base64: Buffer.from(bytes.data).toString('base64') }
  return value
}

function bytesOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bytesOf)
  if (value === null || typeof value !== 'object') return value
  const keys = Object.keys(value)
  const { base64 } = value as { base64?: unknown }
  if (keys.length === 1 && typeof base64 === 'string') return Buffer.from(base64, 'base64')
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bytesOf(inner)]))
}
