/** The tasks of the installation, and a person's decision how one that stands still goes on. */
import { type Static, Type } from 'typebox'
import { type Commands, WriteHeaders } from '../commands.ts'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IntegerOrNull, oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { TaskList, TaskView } from '../tasks.ts'
import type { Api } from '../types.ts'

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
    description: 'UNKNOWN: no worker of the process that answers has it, and its changelog tells of no stop',
  }),
  worker: orNull(Text, { description: 'the worker that has it, where the process that answers does' }),
  position: orNull(Type.Integer(), { description: 'next offset of the inbox to handle; null where it is not known' }),
  first: Type.Integer({ description: 'first offset of the inbox that is there' }),
  end: Type.Integer({ description: 'next offset to be written to the inbox' }),
  stopped: Type.Unsafe<TaskView['stopped']>({
    type: ['object', 'null'],
    properties: { cause: Text, at: TimeOrNull, codeVersion: TextOrNull },
    required: ['cause', 'at', 'codeVersion'],
    description: 'why it stands still until somebody decides, or other code comes',
  }),
  waits: orNull(Text, { description: 'why it does not go on at present, though it is tried again by itself' }),
  decision: Type.Unsafe<ShownDecision | null>({
    type: ['object', 'null'],
    properties: { id: Text, action: Text, offset: IntegerOrNull, by: Text, reason: Text, at: Time },
    required: ['id', 'action', 'offset', 'by', 'reason', 'at'],
    description: 'the newest decision, where the end of the changelog still shows it',
  }),
})

const Params = Type.Object({
  inbox: Type.String({ minLength: 1, maxLength: 200, description: 'topic of the inbox, as the list names it' }),
  partition: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
})

const Decision = Type.Object(
  {
    action: Type.Unsafe<Action>({
      type: 'string',
      enum: [...ACTIONS],
      description:
        'resume: go on where it stands, once what was wrong is mended. accept: go on at `offset` of the inbox as it is now; what lies ' +
        'before and was not handled is given up. rebuild: the local store is given up, and the state is what the changelog says',
    }),
    offset: Type.Optional(Type.Integer({ description: 'for accept, and only there: the next offset to handle' })),
    reason: Type.Optional(
      Type.String({ maxLength: 500, description: 'why, for people; kept for ever, so without names or numbers of persons' }),
    ),
  },
  { additionalProperties: false },
)

const Decided = Type.Object({
  id: Type.String({ description: 'id of the decision; `GET /tasks` shows it' }),
  inbox: Text,
  partition: Type.Integer(),
  action: oneOf(...ACTIONS),
  offset: IntegerOrNull,
})

export function taskRoutes(app: Api, { tasks, commands }: { tasks: TaskList; commands: Commands }): void {
  app.get(
    '/tasks',
    {
      config: { permission: 'tasks:read', whole: true },
      schema: {
        summary: 'Every task of the installation: where it stands, and why it stands still',
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(Task) },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const [inbox, partition] = after('tasks', cursor, 'text')
      const rest = (await tasks.all()).filter(
        t => inbox === null || t.inbox > inbox || (t.inbox === inbox && t.partition > Number(partition)),
      )
      return page('tasks', rest.map(shown), limit, t => [t.inbox, String(t.partition)])
    },
  )

  app.post(
    '/tasks/:inbox/:partition/decisions',
    {
      config: { permission: 'tasks:write', whole: true, action: 'tasks.decide' },
      schema: {
        summary: 'Decide how a task that stands still goes on: its worker finds the decision in the changelog, within seconds',
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
      // Only what is known here is written down: a path may hold anything.
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
    throw new Problem('invalid_offset', `${action} takes no offset: accept does`)
  }
  if (offset === undefined) throw new Problem('invalid_offset', 'accept needs the offset to go on from: `offset`')
  if (offset < 0 || !Number.isSafeInteger(offset)) throw new Problem('invalid_offset', `${offset} is no offset: the first is 0`)
  return offset
}

function shown(task: TaskView): Static<typeof Task> {
  const { decision } = task
  if (decision === null) return { ...task, decision }
  const { action, offset } = decision
  return { ...task, decision: { ...decision, action: action.toLowerCase(), offset: offset < 0 ? null : offset } }
}
