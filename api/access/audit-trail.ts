/**
 * The audit trail: who did what through the API, as records of the topic `audit.log`, whose hashes the Postgres sink chains.
 *
 *   read      ─▶ journal ─▶ answer                             journal ─▶ log, some of them at a time
 *   write     ─▶ log: let in, status 0 ─▶ route ─▶ journal ─▶ answer
 *                 └ not taken: 503, and nothing was done
 *
 * What was answered is in the journal, or in the log where the journal cannot be written; a read of which it is in neither is not
 * answered. No personal data: ids, names of operations, digests.
 */
import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { messageOf } from '../../engine/errors.ts'
import type { RecordInputs } from '../../schemas/types.ts'
import { auditLog } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append, Log, Position } from '../../topics/log.ts'
import { Problem } from '../problem.ts'
import { inTime } from './deadline.ts'
import { type Ends, Journal, type Left } from './journal.ts'

export type AuditEvent = RecordInputs['AuditEvent']

/** More than that is not kept while the log takes nothing: some 20 MB. */
const MOST_WAITING = 50_000
const BATCH = 2_000
/** The log takes what has come meanwhile, in one with its sync; so many it takes at once. */
const LINGER_MS = 200
const RETRY_MS = 1_000
/** A write is refused when the log has not taken its event by then. */
const APPEND_MS = 5_000
/** What closing waits for the log. */
const CLOSE_MS = 5_000
/** Whoever has no token may ask at will: so many of their refusals are kept each minute, and the rest counted. */
const STRANGERS_PER_MINUTE = 300

export interface AuditStatus {
  /** Events that are not in the log yet. */
  readonly waiting: number
  /** Events that were lost, since too many waited. */
  readonly dropped: number
  /** Why the log takes none now; null where it does. */
  readonly failing: string | null
}

export interface AuditOptions {
  readonly log: Log
  readonly codec: Codec
  readonly logger: Pick<Logger, 'error' | 'warn'>
  readonly registry: Registry
  /** Folder of the journal; null where answers wait for the log. */
  readonly folder?: string | null
  readonly most?: number
}

/** Called once the event outlives the process, or with why it does not. */
type Kept = (refusal?: Problem) => void

export class AuditTrail {
  readonly #options: AuditOptions
  readonly #most: number
  #journal: Journal | null = null
  /** Of this turn of the event loop: in no file yet. */
  #unkept: { readonly append: Append; readonly kept: Kept }[] = []
  /** On their way into the log without having been in a file. */
  readonly #handing = new Set<Promise<void>>()
  /** Kept since the journal's last turn, and before it. */
  #waiting: Append[] = []
  #taking: Append[] = []
  /** Next offsets, as far as this process knows. */
  readonly #ends: Record<string, number> = {}
  #flushing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #failing: string | null = null
  #dropped = 0
  #strangers = { since: 0, count: 0 }
  readonly #lost: Counter<'reason'>

  private constructor(options: AuditOptions) {
    this.#options = options
    this.#most = options.most ?? MOST_WAITING
    const registers = [options.registry]
    this.#lost = new Counter({
      name: 'app_audit_lost_total',
      help: 'Events that are not in the audit trail: full, while the log took none; stranger, refused without a token; invalid',
      labelNames: ['reason'] as const,
      registers,
    })
    const waiting = () => this.#count
    new Gauge({
      name: 'app_audit_waiting',
      help: 'Events that are not in the log yet',
      registers,
      collect() {
        this.set(waiting())
      },
    })
  }

  /** Writes what a process that has ended left in its journal. @throws when the log does not take it */
  static async open(options: AuditOptions): Promise<AuditTrail> {
    const trail = new AuditTrail(options)
    const { folder = null, log } = options
    if (folder === null) return trail
    for (const { partition, high } of await log.ends(auditLog.name)) trail.#ends[partition] = high
    const journal = new Journal(folder, { ...trail.#ends })
    for (const left of journal.left) await trail.#recover(left)
    journal.begin()
    trail.#journal = journal
    return trail
  }

  status(): AuditStatus {
    return { waiting: this.#count, dropped: this.#dropped, failing: this.#failing }
  }

  get #count(): number {
    return this.#unkept.length + this.#waiting.length + this.#taking.length
  }

  /** Durable once resolved. @throws {Problem} `unavailable` when the log does not take it. */
  async begin(event: AuditEvent): Promise<void> {
    try {
      await inTime(this.#append([this.#record(event)]), APPEND_MS)
    } catch (error) {
      this.#options.logger.error(
        { reason: messageOf(error), requestId: event.requestId },
        'the log takes no audit event: refused a write',
      )
      throw new Problem('unavailable', 'the audit trail cannot be written now, and nothing was done: try again')
    }
  }

  /** Keeps an event of what is about to be answered. What comes in one turn of the event loop is written together. */
  keep(event: AuditEvent, kept: Kept): void {
    if (event.actor === '' && this.#isOneTooMany(event.at)) {
      this.#lost.inc({ reason: 'stranger' })
      kept()
      return
    }
    if (this.#count >= this.#most) {
      this.#dropped++
      this.#lost.inc({ reason: 'full' })
      kept(unkept())
      return
    }
    let append: Append
    try {
      append = this.#record(event)
    } catch (error) {
      this.#options.logger.error({ err: error, action: event.action }, 'an audit event is not one: a route set something odd')
      this.#lost.inc({ reason: 'invalid' })
      kept()
      return
    }
    this.#unkept.push({ append, kept })
    if (this.#unkept.length === 1) setImmediate(() => this.#keepAll())
  }

  /** Is in the log soon: of what nobody waits for. */
  add(event: AuditEvent): void {
    this.keep(event, refusal => {
      if (refusal !== undefined && this.#count < this.#most) this.#wait([this.#record(event)])
    })
  }

  /** Writes what waits, as far as the log takes it. */
  async close(): Promise<void> {
    this.#keepAll()
    // Of what the log does not take then, those who asked are told, and that is kept in turn.
    for (; this.#handing.size > 0; this.#keepAll()) await Promise.all(this.#handing)
    clearTimeout(this.#timer ?? undefined)
    this.#flushing ??= this.#flush()
    await inTime(this.#flushing, CLOSE_MS).catch(() => {}) // what is left is told below
    clearTimeout(this.#timer ?? undefined)
    const waiting = this.#count
    if (waiting > 0) {
      const what = this.#journal === null ? 'audit events are lost' : 'audit events are left to the next start'
      this.#options.logger.error({ events: waiting, reason: this.#failing }, `${what}: the log took none`)
    }
    this.#journal?.close()
    this.#journal = null
  }

  #keepAll(): void {
    const batch = this.#unkept
    if (batch.length === 0) return
    this.#unkept = []
    const records = batch.map(({ append }) => append)
    const all = (refusal?: Problem) => {
      for (const { kept } of batch) kept(refusal)
    }
    try {
      if (this.#journal === null) throw new Error('there is no journal')
      this.#journal.keep(records.map(({ value }) => value as Buffer))
    } catch (error) {
      if (this.#journal !== null) this.#options.logger.error({ err: error }, 'the journal of the audit trail cannot be written')
      const handing = inTime(this.#append(records), APPEND_MS)
        .then(
          () => all(),
          () => all(unkept()),
        )
        .finally(() => this.#handing.delete(handing))
      this.#handing.add(handing)
      return
    }
    this.#wait(records)
    all()
  }

  #wait(records: readonly Append[]): void {
    for (const record of records) this.#waiting.push(record)
    if (this.#waiting.length >= BATCH && this.#failing === null) this.#flushing ??= this.#flush()
    else this.#timer ??= this.#later(LINGER_MS)
  }

  #later(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = null
      this.#flushing ??= this.#flush()
    }, ms).unref()
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    try {
      while (this.#taking.length > 0 || this.#waiting.length > 0) {
        if (this.#taking.length === 0) {
          ;[this.#taking, this.#waiting] = [this.#waiting, []]
          this.#journal?.turn({ ...this.#ends })
        }
        while (this.#taking.length > 0) {
          const batch = this.#taking.slice(0, BATCH)
          await this.#append(batch)
          this.#taking.splice(0, batch.length)
        }
        this.#journal?.taken()
        this.#failing = null
      }
    } catch (error) {
      if (this.#failing === null)
        this.#options.logger.error({ reason: messageOf(error) }, 'the log takes no audit events: they wait')
      this.#failing = messageOf(error)
      clearTimeout(this.#timer ?? undefined)
      this.#timer = this.#later(RETRY_MS)
    } finally {
      this.#flushing = null
    }
  }

  async #append(records: readonly Append[]): Promise<Position[]> {
    const positions = await this.#options.log.append(records)
    for (const { partition, offset } of positions) this.#ends[partition] = Math.max(this.#ends[partition] ?? 0, offset + 1)
    return positions
  }

  /** What the log has by now was appended before the process ended. */
  async #recover({ ends, values, damaged }: Left): Promise<void> {
    const { codec, logger } = this.#options
    if (damaged > 0) logger.error({ bytes: damaged }, 'the end of a journal of the audit trail is damaged: what it held is lost')
    const known = await this.#idsSince(ends)
    const records: Append[] = []
    for (const value of values) {
      await codec.prepare([{ value }])
      const decoded = codec.decode(value)
      if (decoded.type !== 'AuditEvent' || known.has(decoded.value.id)) continue
      records.push({ topic: auditLog.name, key: keyOf(decoded.value), value })
    }
    for (let from = 0; from < records.length; from += BATCH) await this.#append(records.slice(from, from + BATCH))
    if (records.length > 0) logger.warn({ events: records.length }, 'audit events of a process that has ended are in the log now')
  }

  async #idsSince(ends: Ends): Promise<Set<string>> {
    const { log, codec } = this.#options
    const ids = new Set<string>()
    for (const { partition, low, high } of await log.ends(auditLog.name)) {
      for (let at = ends[partition] ?? low; at < high; ) {
        const { records, next } = await log.read({ topic: auditLog.name, partition }, at, { wait: APPEND_MS })
        if (next === at) throw new Error(`${auditLog.name}/${partition} cannot be read at ${at}`)
        await codec.prepare(records)
        for (const { value } of records) {
          const decoded = value === null ? null : codec.decode(value)
          if (decoded?.type === 'AuditEvent') ids.add(decoded.value.id)
        }
        at = next
      }
    }
    return ids
  }

  #record(event: AuditEvent): Append {
    const value = this.#options.codec.encode(auditLog.name, 'AuditEvent', event)
    return { topic: auditLog.name, key: keyOf(event), value }
  }

  #isOneTooMany(now: number): boolean {
    if (now - this.#strangers.since > 60_000) this.#strangers = { since: now, count: 0 }
    return ++this.#strangers.count > STRANGERS_PER_MINUTE
  }
}

function keyOf({ actor }: Pick<AuditEvent, 'actor'>): string {
  return actor === '' ? 'none' : actor
}

function unkept(): Problem {
  return new Problem('unavailable', 'the audit trail cannot be written now: try again')
}
