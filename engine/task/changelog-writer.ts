/**
 * What a transaction writes to a task's changelog: the actors it changed, the inputs of attempts, the position; and once each, in front
 * of them, the identity of the changelog, the inbox that the state is made from, and the schemas that wrote it.
 */
import { recordSchema } from '../../schemas/index.ts'
import type { RecordName, TaskInbox } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append, TopicPartition } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import { reserved } from '../changelog.ts'
import { envelopeOf, isEmpty } from '../instance.ts'
import { decodeStored } from '../store.ts'
import type { Overlay } from './overlay.ts'

/** Bytes of an actor before any was seen. */
const FIRST_GUESS_BYTES = 16_000

export interface Written {
  readonly identityWritten: boolean
  readonly inboxWritten: boolean
  /** Schemas that the changelog holds, by fingerprint. */
  readonly schemas: ReadonlyMap<string, string>
}

export class ChangelogWriter {
  readonly #codec: Codec
  readonly #definition: ActorDefinition
  readonly #changelog: TopicPartition
  readonly #knownSchemas = new Map<string, string>()
  #newSchemas = new Map<string, string>()
  #identityWritten = true
  #inboxWritten = true
  /** Moving average. */
  #instanceBytes = FIRST_GUESS_BYTES

  constructor(codec: Codec, definition: ActorDefinition, changelog: TopicPartition) {
    this.#codec = codec
    this.#definition = definition
    this.#changelog = changelog
  }

  /** Bytes of an actor, as seen lately. */
  get instanceBytes(): number {
    return this.#instanceBytes
  }

  restored({ identityWritten, inboxWritten, schemas }: Written): void {
    this.#identityWritten = identityWritten
    this.#inboxWritten = inboxWritten
    this.#newSchemas = new Map() // of a transaction that has failed
    this.#knownSchemas.clear()
    for (const [fingerprint, text] of schemas) this.#knownSchemas.set(fingerprint, text)
  }

  /** The actors and inputs that an overlay has changed. */
  changes({ touched, inputs }: Overlay): Append[] {
    const changes: Append[] = []
    const { topic, partition } = this.#changelog
    const put = (key: string, value: Buffer | null) => changes.push({ topic, partition, key, value })
    const codec = this.#codec
    for (const [key, entry] of touched) {
      const value = isEmpty(entry.after)
        ? null
        : codec.encode(topic, 'Envelope', envelopeOf(entry.after, this.#definition.state, entry.stateBytes))
      entry.stateBytes = null
      entry.raw = value === null ? null : codec.unwrap(value).raw
      this.#instanceBytes = Math.round(this.#instanceBytes * 0.9 + (entry.raw?.length ?? 0) * 0.1)
      if (value !== null || entry.before !== null) put(key, value)
    }
    for (const [key, value] of inputs) put(key, value === null ? null : codec.wrap(topic, 'LedgerInput', decodeStored(value).raw))
    return changes
  }

  /** The records of the engine's own that follow the changes; a stop is the last that a task writes. */
  position({ next, stop }: Overlay, token: string): Append[] {
    const { topic, partition } = this.#changelog
    const position = this.#codec.encode(topic, 'TaskPosition', { next, token })
    const appends = [{ topic, partition, key: reserved.position, value: position }]
    if (stop !== null) appends.push({ topic, partition, key: reserved.stop, value: this.#codec.encode(topic, 'TaskStop', stop) })
    return appends
  }

  /** What must be written first, and is not there yet. */
  preamble({ inputs }: Overlay, logId: string, inbox: TaskInbox): Append[] {
    const { topic, partition } = this.#changelog
    const codec = this.#codec
    const preamble: Append[] = []
    const put = (key: string, value: Buffer) => preamble.push({ topic, partition, key, value })
    if (!this.#identityWritten) put(reserved.identity, codec.encode(topic, 'LogIdentity', { id: logId }))
    if (!this.#inboxWritten) put(reserved.inbox, codec.encode(topic, 'TaskInbox', inbox))
    this.#newSchemas = this.#unknownSchemas(inputs.size > 0)
    for (const [fingerprint, schema] of this.#newSchemas)
      put(reserved.schema(fingerprint), codec.encode(topic, 'SchemaText', { fingerprint, schema }))
    return preamble
  }

  /** The transaction is committed. `wrote`: it wrote to the changelog. Returns the schemas that it wrote. */
  committed(wrote: boolean): ReadonlyMap<string, string> {
    if (!wrote) return new Map()
    this.#identityWritten = true
    this.#inboxWritten = true
    const schemas = this.#newSchemas
    for (const [fingerprint, text] of schemas) this.#knownSchemas.set(fingerprint, text)
    this.#newSchemas = new Map()
    return schemas
  }

  #unknownSchemas(withInputs: boolean): Map<string, string> {
    if (this.#definition.stateless === true) return new Map()
    const used: RecordName[] = ['Envelope', this.#definition.state]
    if (withInputs) used.push('LedgerInput', ...Object.values(this.#definition.effects ?? {}).map(e => e.input))
    const unknown = new Map<string, string>()
    for (const name of used) {
      const { fingerprint, text } = recordSchema(name)
      if (!this.#knownSchemas.has(fingerprint)) unknown.set(fingerprint, text)
    }
    return unknown
  }
}
