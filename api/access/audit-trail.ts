/**
 * The audit trail: who did what through the API, as records of the topic `audit.log`, whose hashes the Postgres sink chains.
 *
 *   read      ─▶ journal ─▶ answer                             journal ─▶ log, in batches
 *   write     ─▶ log: accepted, status 0 ─▶ route ─▶ journal ─▶ answer
 *                 └ append failed: 503, and nothing was done
 *
 * Every answer is in the journal, or in the log if the journal cannot be written, before it is sent; a read that can be written to
 * neither is refused. Events hold no personal data: only ids, names of operations, and digests.
 */
import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { messageOf } from '../../engine/errors.ts'
import { withTimeout } from '../../domain/timeout.ts'
import type { RecordInputs } from '../../schemas/types.ts'
import { auditLog } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append, Log, Position } from '../../topics/log.ts'
import { Problem } from '../problem.ts'
import { auditRecord, lostRecords } from './audit-records.ts'
import { Journal, type Leftover } from './journal.ts'

export type AuditEvent = RecordInputs['AuditEvent']

/** Events kept while the log is unavailable, about 20 MB of them. */
const MAX_PENDING = 50_000
const BATCH_EVENTS = 2_000
/** Events are appended to the log in batches this far apart. */
const LINGER_MS = 200
const RETRY_MS = 1_000
/** A write is refused if its event is not in the log by then. */
const APPEND_MS = 5_000
/** How long `close` waits for the log. */
const CLOSE_MS = 5_000
/** Refusals of requests without a token that are recorded each minute; the rest is only counted. */
const ANONYMOUS_PER_MINUTE = 300

export interface AuditStatus {
  /** Events that are not in the log yet. */
  readonly waiting: number
  /** Events lost because too many were pending. */
  readonly dropped: number
  /** Why the log cannot be written; null if it can. */
  readonly failing: string | null
}

export interface AuditOptions {
  readonly log: Log
  readonly codec: Codec
  readonly logger: Pick<Logger, 'error' | 'warn'>
  readonly registry: Registry
  /** Folder of the journal; null if answers wait for the log instead. */
  readonly folder?: string | null
  readonly maxPending?: number
}

/** Called once the event will survive the process, or with the reason why it will not. */
type Recorded = (refusal?: Problem) => void

export class AuditTrail {
  readonly #options: AuditOptions
  readonly #maxPending: number
  #journal: Journal | null = null
  /** Events of this turn of the event loop, not written anywhere yet. */
  #unwritten: { readonly append: Append; readonly recorded: Recorded }[] = []
  /** Appends to the log of events that could not be journalled. */
  readonly #direct = new Set<Promise<void>>()
  /** Journalled since the last rotation of the journal, and before it. */
  #pending: Append[] = []
  #flushed: Append[] = []
  /** Log end offsets by partition, as far as this process knows. */
  readonly #ends: Record<string, number> = {}
  #flushing: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #failing: string | null = null
  #dropped = 0
  #anonymous = { since: 0, count: 0 }
  readonly #lost: Counter<'reason'>

  private constructor(options: AuditOptions) {
    this.#options = options
    this.#maxPending = options.maxPending ?? MAX_PENDING
    const registers = [options.registry]
    this.#lost = new Counter({
      name: 'app_audit_lost_total',
      help: 'Events missing from the audit trail: full, too many pending; stranger, refused without a token; invalid',
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

  /** Appends what previous processes left in their journals. @throws if the log cannot be written */
  static async open(options: AuditOptions): Promise<AuditTrail> {
    const trail = new AuditTrail(options)
    const { folder = null, log } = options
    if (folder === null) return trail
    for (const { partition, high } of await log.ends(auditLog.name)) trail.#ends[partition] = high
    const journal = new Journal(folder, { ...trail.#ends })
    for (const leftover of journal.leftovers) await trail.#recover(leftover)
    journal.start()
    trail.#journal = journal
    return trail
  }

  status(): AuditStatus {
    return { waiting: this.#count, dropped: this.#dropped, failing: this.#failing }
  }

  get #count(): number {
    return this.#unwritten.length + this.#pending.length + this.#flushed.length
  }

  /** Appends the event of a write before it is done; durable once resolved. @throws {Problem} `unavailable` if the append fails */
  async accept(event: AuditEvent): Promise<void> {
    try {
      await withTimeout(this.#append([auditRecord(this.#options.codec, event)]), APPEND_MS)
    } catch (error) {
      this.#options.logger.error(
        { reason: messageOf(error), requestId: event.requestId },
        'write refused: cannot append its audit event to the log',
      )
      throw new Problem('unavailable', 'the audit trail is unavailable and nothing was done: try again')
    }
  }

  /** Records the event of an answer before it is sent. Events of one turn of the event loop are written together. */
  record(event: AuditEvent, recorded: Recorded): void {
    if (event.actor === '' && this.#exceedsAnonymousLimit(event.at)) {
      this.#lost.inc({ reason: 'stranger' })
      recorded()
      return
    }
    if (this.#count >= this.#maxPending) {
      this.#dropped++
      this.#lost.inc({ reason: 'full' })
      recorded(notRecorded())
      return
    }
    let append: Append
    try {
      append = auditRecord(this.#options.codec, event)
    } catch (error) {
      this.#options.logger.error({ err: error, action: event.action }, 'audit event is invalid: a route set a wrong value')
      this.#lost.inc({ reason: 'invalid' })
      recorded()
      return
    }
    this.#unwritten.push({ append, recorded })
    if (this.#unwritten.length === 1) setImmediate(() => this.#write())
  }

  /** Records an event that no answer waits for. */
  add(event: AuditEvent): void {
    this.record(event, refusal => {
      if (refusal !== undefined && this.#count < this.#maxPending) this.#enqueue([auditRecord(this.#options.codec, event)])
    })
  }

  /** Appends what is pending, as far as the log accepts it. */
  async close(): Promise<void> {
    this.#write()
    // A failed append makes its request fail, which is recorded in turn.
    for (; this.#direct.size > 0; this.#write()) await Promise.all(this.#direct)
    clearTimeout(this.#timer ?? undefined)
    this.#flushing ??= this.#flush()
    await withTimeout(this.#flushing, CLOSE_MS).catch(() => {}) // what is left is logged below
    clearTimeout(this.#timer ?? undefined)
    const waiting = this.#count
    if (waiting > 0) {
      const outcome = this.#journal === null ? 'audit events lost' : 'audit events kept in the journal for the next start'
      this.#options.logger.error({ events: waiting, reason: this.#failing }, `${outcome}: cannot append to the log`)
    }
    this.#journal?.close()
    this.#journal = null
  }

  #write(): void {
    const batch = this.#unwritten
    if (batch.length === 0) return
    this.#unwritten = []
    const records = batch.map(({ append }) => append)
    const settle = (refusal?: Problem) => {
      for (const { recorded } of batch) recorded(refusal)
    }
    try {
      if (this.#journal === null) throw new Error('there is no journal')
      this.#journal.append(records.map(({ value }) => value as Buffer))
    } catch (error) {
      if (this.#journal !== null) this.#options.logger.error({ err: error }, 'cannot write the journal of the audit trail')
      const direct = withTimeout(this.#append(records), APPEND_MS)
        .then(
          () => settle(),
          () => settle(notRecorded()),
        )
        .finally(() => this.#direct.delete(direct))
      this.#direct.add(direct)
      return
    }
    this.#enqueue(records)
    settle()
  }

  #enqueue(records: readonly Append[]): void {
    for (const record of records) this.#pending.push(record)
    if (this.#pending.length >= BATCH_EVENTS && this.#failing === null) this.#flushing ??= this.#flush()
    else this.#timer ??= this.#flushIn(LINGER_MS)
  }

  #flushIn(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = null
      this.#flushing ??= this.#flush()
    }, ms).unref()
  }

  /** Appends what is pending to the log. Never rejects. */
  async #flush(): Promise<void> {
    try {
      while (this.#flushed.length > 0 || this.#pending.length > 0) {
        if (this.#flushed.length === 0) {
          ;[this.#flushed, this.#pending] = [this.#pending, []]
          this.#journal?.rotate({ ...this.#ends })
        }
        while (this.#flushed.length > 0) {
          const batch = this.#flushed.slice(0, BATCH_EVENTS)
          await this.#append(batch)
          this.#flushed.splice(0, batch.length)
        }
        this.#journal?.discardRotated()
        this.#failing = null
      }
    } catch (error) {
      if (this.#failing === null)
        this.#options.logger.error({ reason: messageOf(error) }, 'audit events are pending: cannot append to the log')
      this.#failing = messageOf(error)
      clearTimeout(this.#timer ?? undefined)
      this.#timer = this.#flushIn(RETRY_MS)
    } finally {
      this.#flushing = null
    }
  }

  async #append(records: readonly Append[]): Promise<Position[]> {
    const positions = await this.#options.log.append(records)
    for (const { partition, offset } of positions) this.#ends[partition] = Math.max(this.#ends[partition] ?? 0, offset + 1)
    return positions
  }

  /** Appends the events of a journal that the log does not have. */
  async #recover(leftover: Leftover): Promise<void> {
    const { log, codec, logger } = this.#options
    if (leftover.damagedBytes > 0)
      logger.error({ bytes: leftover.damagedBytes }, 'the end of an audit journal is damaged: its events are lost')
    const records = await lostRecords(log, codec, leftover)
    for (let from = 0; from < records.length; from += BATCH_EVENTS) await this.#append(records.slice(from, from + BATCH_EVENTS))
    if (records.length > 0) logger.warn({ events: records.length }, 'recovered audit events of a previous process')
  }

  #exceedsAnonymousLimit(now: number): boolean {
    if (now - this.#anonymous.since > 60_000) this.#anonymous = { since: now, count: 0 }
    return ++this.#anonymous.count > ANONYMOUS_PER_MINUTE
  }
}

function notRecorded(): Problem {
  return new Problem('unavailable', 'the audit trail is unavailable: try again')
}
