/** The stores of this process: opened with their tasks, and removed once their tasks have moved elsewhere for good. */
import { changelog as changelogOf } from '../../topics/catalog.ts'
import { type Assignment, partitionKey } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import { messageOf } from '../errors.ts'
import { answering } from '../lookups.ts'
import { MemoryStore, type StateStore } from '../store.ts'
import { Task } from '../task.ts'
import { WriterSchemas } from '../writer-schemas.ts'
import type { AssignedTasks, Slot } from './assigned-tasks.ts'
import { reportLoss, type TasksSettings } from './settings.ts'

/** A task that has moved away may come back; after this its store is removed. */
const KEEP_STORES_MS = 60 * 60 * 1000

export class LocalStores {
  readonly #settings: TasksSettings
  readonly #assigned: AssignedTasks
  readonly #stores = new Map<string, StateStore>()
  /** Since when a task with a store here has lived elsewhere, monotonic ms. */
  readonly #away = new Map<string, number>()

  constructor(settings: TasksSettings, assigned: AssignedTasks) {
    this.#settings = settings
    this.#assigned = assigned
  }

  /** The task of a partition; null if its store cannot be opened now. */
  async openTask(slot: Slot): Promise<Task | null> {
    const { at, definition } = slot
    const { codec, codeVersion, cache, onError, lookups } = this.#settings
    const { partition } = at
    try {
      const store = await this.#open(definition, partition)
      const changelog = changelogOf(definition.name, definition.inbox)
      const lookup = answering(definition, partition, { codec, onError, lookups: lookups[definition.name] ?? {} })
      return new Task({ definition, changelog, partition, codec, store, codeVersion, cache, lookup }, new WriterSchemas())
    } catch (error) {
      reportLoss(this.#settings, error)
      slot.waits = `its store cannot be opened: ${messageOf(error)}`
      onError(`task ${partitionKey(at)}: cannot open its store; trying again`, error)
      return null
    }
  }

  async #open({ name: actor, stateless }: ActorDefinition, partition: number): Promise<StateStore> {
    if (stateless === true) return new MemoryStore(this.#settings.newId())
    const name = `${actor}/${partition}`
    const store = this.#stores.get(name) ?? (await this.#settings.openStore(actor, partition))
    this.#stores.set(name, store)
    return store
  }

  /** Removes the stores of tasks that have moved away for good, if the changelog has all that they hold. */
  sweep(): void {
    const { stores, actors, clock } = this.#settings
    const { assignment, slots } = this.#assigned
    if (stores === null || assignment === null) return
    const due: { definition: ActorDefinition; partition: number }[] = []
    for (const { actor, partition } of stores.list()) {
      const definition = actors.find(a => a.name === actor)
      if (definition === undefined) continue
      const name = `${actor}/${partition}`
      if (slots.has(partitionKey({ topic: definition.inbox.name, partition }))) this.#away.delete(name)
      else if (!this.#away.has(name)) this.#away.set(name, clock.mono())
      else if (clock.mono() - (this.#away.get(name) as number) > KEEP_STORES_MS) due.push({ definition, partition })
    }
    for (const { definition, partition } of due) this.#assigned.track(() => this.#remove(assignment, definition, partition))
  }

  async #remove(assignment: Assignment, definition: ActorDefinition, partition: number): Promise<void> {
    const { log, openStore, stores } = this.#settings
    const name = `${definition.name}/${partition}`
    const changelog = changelogOf(definition.name, definition.inbox).name
    const store = this.#stores.get(name) ?? (await openStore(definition.name, partition))
    const high = (await log.ends(changelog)).find(e => e.partition === partition)?.high ?? 0
    if (!this.#assigned.isCurrent(assignment) || (store.checkpoint()?.changelog ?? 0) > high) return
    await stores?.drop(definition.name, partition)
    this.#stores.delete(name)
    this.#away.delete(name)
  }
}
