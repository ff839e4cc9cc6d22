/** The tasks of the installation, and operators' decisions on how a halted one continues. */
import { type Static, Type } from 'typebox'
import { permission } from '../access/principal.ts'
import { WriteHeaders } from '../command-schemas.ts'
import type { Commands } from '../commands.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IntegerOrNull, oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { TaskList, TaskView } from '../tasks.ts'
import type { Api } from '../types.ts'

const READ = permission('tasks:read', ['admin', 'ops'])
const WRITE = permission('tasks:write', ['admin', 'ops'])
export const permissions = { READ, WRITE }

const ACTIONS = ['resume', 'accept', 'rebuild'] as const
type Action = (typeof ACTIONS)[number]

interface ShownDecision {
  readonly id: string
  readonly action: string
  readonly offset: number | null
  readonly by: string
  readonly reason: string
  readonly at: Date
}

const Task = Type.Object({
  actor: Text,
  inbox: Text,
  partition: Type.Integer(),
  state: Type.Unsafe<TaskView['state']>({
    type: 'string',
    enum: ['CREATED', 'RESTORING', 'RUNNING', 'DRAINING', 'STOPPED', 'CLOSED', 'UNKNOWN'],
    description: 'UNKNOWN: no worker of the responding process has it, and its changelog records no halt',
  }),
  worker: orNull(Text, { description: 'The worker of the responding process that has it' }),
  position: orNull(Type.Integer(), { description: 'Next offset of the inbox to handle; null if unknown' }),
  first: Type.Integer({ description: 'Log start offset of the inbox' }),
  end: Type.Integer({ description: 'Log end offset of the inbox' }),
  stopped: Type.Unsafe<TaskView['stopped']>({
    type: ['object', 'null'],
    properties: { cause: Text, at: TimeOrNull, codeVersion: TextOrNull },
    required: ['cause', 'at', 'codeVersion'],
    description: 'Why it is halted until an operator decides, or new code is deployed',
  }),
  waits: orNull(Text, { description: 'Why it is waiting at present; it is retried automatically' }),
  decision: Type.Unsafe<ShownDecision | null>({
    type: ['object', 'null'],
    properties: { id: Text, action: Text, offset: IntegerOrNull, by: Text, reason: Text, at: Time },
    required: ['id', 'action', 'offset', 'by', 'reason', 'at'],
    description: 'The latest decision, if the end of the changelog still holds it',
  }),
})

const Params = Type.Object({
  inbox: Type.String({ minLength: 1, maxLength: 200, description: 'Topic of the inbox, as in the list' }),
  partition: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
})

const Decision = Type.Object(
  {
    action: Type.Unsafe<Action>({
      type: 'string',
      enum: [...ACTIONS],
      description:
        'resume: continue at the current position, once the cause is fixed. accept: continue at `offset` of the inbox as it is now; ' +
        'earlier records that were not handled are skipped. rebuild: discard the local store and restore it from the changelog',
    }),
    offset: Type.Optional(Type.Integer({ description: 'For accept only: the next offset to handle' })),
    reason: Type.Optional(Type.String({ maxLength: 500, description: 'Kept for ever: do not name persons or their numbers' })),
  },
  { additionalProperties: false },
)

const Decided = Type.Object({
  id: Type.String({ description: 'Id of the decision, as in `GET /tasks`' }),
  inbox: Text,
  partition: Type.Integer(),
  action: oneOf(...ACTIONS),
  offset: IntegerOrNull,
})

export function routes(app: Api, { tasks, commands }: { tasks: TaskList; commands: Commands }): void {
  app.get(
    '/tasks',
    {
      config: { permission: READ, installationWide: true },
      schema: {
        summary: 'Every task of the installation, with its position and why it is halted',
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(Task) },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const [inbox, partition] = parseCursor('tasks', cursor, 'text')
      const rest = (await tasks.all()).filter(
        t => inbox === null || t.inbox > inbox || (t.inbox === inbox && t.partition > Number(partition)),
      )
      return page('tasks', rest.map(shown), limit, t => [t.inbox, String(t.partition)])
    },
  )

  app.post(
    '/tasks/:inbox/:partition/decisions',
    {
      config: { permission: WRITE, installationWide: true, action: 'tasks.decide' },
      schema: {
        summary: 'Decide how a halted task continues; its worker reads the decision from the changelog within seconds',
        params: Params,
        headers: Type.Pick(WriteHeaders, ['idempotency-key']),
        body: Decision,
        response: { 202: Decided },
      },
    },
    async (request, reply) => {
      const { inbox, partition } = request.params
      const { action, reason = '' } = request.body as Static<typeof Decision>
      const offset = offsetOf(request.body as Static<typeof Decision>)
      const object = `${inbox}/${partition}`
      const what = offset === null ? action : `${action} from ${offset}`
      // Only an existing task is named in the audit trail: a path may hold anything.
      await tasks.one(inbox, partition)
      Object.assign(request.audited, { object, after: reason === '' ? what : `${what}: ${reason}` })
      const id = await commands.once(request, { action: 'TaskDecision', target: 'task', object }, async id => {
        const by = request.principal.id
        const decision = { id, action: action.toUpperCase() as 'RESUME' | 'ACCEPT' | 'REBUILD', offset: offset ?? -1, by, reason }
        await tasks.decide({ topic: inbox, partition }, decision)
      })
      request.audited.command = id
      return reply.code(202).send({ id, inbox, partition, action, offset })
    },
  )
}

/** @throws {Problem} `invalid_offset` */
function offsetOf({ action, offset }: Static<typeof Decision>): number | null {
  if (action !== 'accept') {
    if (offset === undefined) return null
    throw new Problem('invalid_offset', `${action} takes no offset; only accept does`)
  }
  if (offset === undefined) throw new Problem('invalid_offset', 'accept requires `offset`, the next offset to handle')
  if (offset < 0 || !Number.isSafeInteger(offset)) throw new Problem('invalid_offset', `${offset} is not a valid offset`)
  return offset
}

function shown(task: TaskView): Static<typeof Task> {
  const { decision } = task
  if (decision === null) return { ...task, decision }
  const { action, offset } = decision
  return { ...task, decision: { ...decision, action: action.toLowerCase(), offset: offset < 0 ? null : offset } }
}
