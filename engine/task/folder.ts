/** Folds records of the inbox into the overlay of a task, each offset once and in order. */
import type { Codec } from '../../topics/codec.ts'
import type { LogRecord, Polled, TopicPartition } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import type { Budget } from '../budget.ts'
import { Corrupted, Fatal, messageOf } from '../errors.ts'
import { handle } from '../handle.ts'
import { incoming } from '../incoming.ts'
import { PoisonRate } from '../poison-rate.ts'
import type { TaskScope } from '../step/step.ts'
import type { ChangelogWriter } from './changelog-writer.ts'
import { collect, collectUnreadable } from './collect.ts'
import type { TaskMemory } from './memory.ts'
import type { Overlay } from './overlay.ts'

export interface FolderSettings {
  readonly definition: ActorDefinition
  readonly inbox: TopicPartition
  readonly codec: Codec
  readonly codeVersion: string
  readonly memory: TaskMemory
  readonly changelogWriter: Pick<ChangelogWriter, 'instanceBytes'>
}

export class Folder {
  readonly #settings: FolderSettings
  readonly #rate = new PoisonRate()
  /** Where the next range of the inbox must begin. */
  #expected = 0
  /** Why nothing more is handled, while what was folded before is still to be committed. */
  #pendingHalt: string | null = null

  constructor(settings: FolderSettings) {
    this.#settings = settings
  }

  get pendingHalt(): string | null {
    return this.#pendingHalt
  }

  /** Handles nothing more. */
  haltAfterCommit(cause: string): void {
    this.#pendingHalt ??= cause
  }

  /** Continues at this offset. */
  rewind(next: number): void {
    this.#expected = next
  }

  /** Continues at this offset, after memory was dropped: a pending halt no longer counts. */
  reset(next: number): void {
    this.#expected = next
    this.#pendingHalt = null
  }

  restored(): void {
    this.#rate.clear()
  }

  /**
   * Folds a range as far as the budget goes. Returns the rest, or null. A record that needs other code halts the task in front of it.
   * @throws {Corrupted} `discontinuity` if it does not begin where the last one ended: nothing of it is taken
   */
  fold(range: Polled, budget: Budget, scope: TaskScope): Polled | null {
    const { from, next, records } = range
    const { overlay } = this.#settings.memory
    if (overlay.stop !== null || this.#pendingHalt !== null) return null
    if (from !== this.#expected) {
      throw new Corrupted('discontinuity', `got a range that begins at ${from}, but the next offset is ${this.#expected}`)
    }
    for (let i = 0; i < records.length; i++) {
      const record = records[i] as LogRecord
      if (i > 0 && budget.spent) {
        this.#expected = record.offset
        return { ...range, from: record.offset, records: records.slice(i) }
      }
      if (record.offset < overlay.next) continue
      if (this.#tooMuchPoison(record.timestamp)) return null
      try {
        this.#handle(record, overlay, scope, budget)
      } catch (error) {
        if (!(error instanceof Fatal)) throw error
        this.haltAfterCommit(messageOf(error))
        return null
      }
      overlay.next = record.offset + 1
    }
    this.#expected = next
    // Transaction markers follow the last record: a commit of the record also commits that they are passed.
    if (records.length > 0) overlay.next = next
    return null
  }

  #handle(record: LogRecord, overlay: Overlay, scope: TaskScope, budget: Budget): void {
    const { definition, inbox, codec, codeVersion, memory, changelogWriter } = this.#settings
    if (record.value === null && definition.stateless === true) {
      overlay.passed = true
      return
    }
    const decoded = incoming(codec, record)
    if ('unreadable' in decoded) {
      collectUnreadable(overlay, codec, record, decoded.unreadable, codeVersion)
      this.#rate.poisoned(record.key ?? '', record.timestamp)
      return
    }
    const { key } = decoded
    const entry = overlay.touched.get(key)
    const before = entry === undefined ? memory.latest(key) : entry.after
    const step = handle(definition, before, decoded, scope)
    if (!step.changed) {
      overlay.passed = true
      return
    }
    const { instance: after, stateBytes } = step
    if (entry === undefined) {
      overlay.touched.set(key, { before, after, stateBytes, raw: null })
      budget.spend(changelogWriter.instanceBytes)
    } else {
      if (stateBytes !== null || after.state !== entry.after.state) entry.stateBytes = stateBytes
      entry.after = after
    }
    collect(overlay, definition, inbox.partition, decoded, step)
    if (step.result === 'poisoned') this.#rate.poisoned(key, decoded.timestamp)
    for (const { value } of step.emits) budget.spend(value?.length ?? 0)
    for (const { input } of step.performed) budget.spend(input.length)
    for (const { value } of step.answers) budget.spend(value.length)
  }

  #tooMuchPoison(now: number): boolean {
    this.#rate.handled(now)
    const cause = this.#rate.tooMuch()
    if (cause === null) return false
    const { memory, codeVersion } = this.#settings
    memory.overlay.stop = { codeVersion, cause, at: now }
    return true
  }

  /** Commits `position` anew although nothing is to be kept: see `Task.pass`. */
  pass(markers: boolean, position: number): void {
    const { overlay, sealed } = this.#settings.memory
    if (this.#pendingHalt !== null || overlay.stop !== null) return
    if (markers) overlay.next = this.#expected
    overlay.passes ||= (markers || overlay.passed) && overlay.next !== (sealed?.next ?? position)
  }
}
