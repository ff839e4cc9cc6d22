/** The topics of the simulated world, the versions of the code that its machines run, and the schemas that newer code writes by. */
import type { ActorDefinition } from '../../engine/actor.ts'
import { recordSchema } from '../../schemas/index.ts'
import type { RecordName } from '../../schemas/types.ts'
import { changelog, deadLetters, type Topic } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import { tally, tallyJournal, tallyOutputs } from './tally.ts'
import { novel, tallyInbox, trial, trialInbox, trialOutputs, withoutAgain } from './trial.ts'

export const trialChangelog = changelog('trial', trialInbox)
export const tallyChangelog = changelog('tally', tallyInbox)
export const topics: readonly Topic[] = [
  trialInbox,
  trialOutputs,
  trialChangelog,
  tallyInbox,
  tallyOutputs,
  tallyJournal,
  tallyChangelog,
  deadLetters,
]

export interface Code {
  readonly version: string
  readonly actors: readonly ActorDefinition[]
}

const code = (version: string, first: ActorDefinition): Code => ({ version, actors: [first, tally] })
export const codes = {
  base: code('1', trial as unknown as ActorDefinition),
  /** The same, under another version. */
  same: code('1.1', trial as unknown as ActorDefinition),
  novel: code('2', novel),
  retired: code('3', withoutAgain(true)),
  careless: code('4', withoutAgain(false)),
} as const

/** All that is ever registered: what a machine can get of it is up to its faults. */
export const registry = new MemoryRegistry()
export const codec = await Codec.open(registry, topics)
await codec.add({ ...trialInbox, records: ['TrialOutput'] })

/** Ids of the schemas of newer code: the same records with a field more at their end. */
const newer = new Map<number, number>()
for (const name of ['TrialInput', 'Envelope', 'LedgerInput', 'TaskPosition'] as const) await addNewer(name)

async function addNewer(name: RecordName): Promise<void> {
  const { text } = recordSchema(name)
  const schema = JSON.parse(text) as { fields: object[] }
  schema.fields.push({ name: 'newer', type: 'int', default: 0 })
  const id = await registry.register('', JSON.stringify(schema))
  newer.set(await registry.register('', text), id)
}
export const newerIds: ReadonlySet<number> = new Set(newer.values())
await codec.prepare([...newerIds].map(id => ({ value: asNewer(id, Buffer.alloc(0)) }) as never))

function asNewer(id: number, raw: Buffer): Buffer {
  const value = Buffer.alloc(raw.length + 6)
  value.writeUInt32BE(id, 1)
  raw.copy(value, 5)
  return value
}

/** A record in wire format as newer code writes it. */
export function newerForm(value: Buffer | null): Buffer | null {
  if (value === null || value.length < 5 || value[0] !== 0) return value
  const id = newer.get(value.readUInt32BE(1))
  return id === undefined ? value : asNewer(id, value.subarray(5))
}
