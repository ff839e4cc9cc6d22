/** The schema registry as one machine reaches it. */
import { CodecError, type SchemaRegistry } from '../../../topics/codec.ts'
import { newerIds, registry } from '../codes.ts'
import type { Life, Scheduler } from '../scheduler.ts'

/** What is wrong with it, for all machines. */
export interface RegistryTrouble {
  state: 'well' | 'refuses' | 'hangs'
  /** It does not know the schemas of newer code yet. */
  forgetful: boolean
}

export class SimulatedRegistry implements SchemaRegistry {
  readonly #scheduler: Scheduler
  readonly #life: Life
  readonly #trouble: RegistryTrouble

  constructor(scheduler: Scheduler, life: Life, trouble: RegistryTrouble) {
    this.#scheduler = scheduler
    this.#life = life
    this.#trouble = trouble
  }

  async register(subject: string, schema: string): Promise<number> {
    if (this.#trouble.state === 'well') return registry.register(subject, schema)
    await this.#scheduler.sleep(100, this.#life)
    throw new Error('the registry cannot be reached')
  }

  async schema(id: number): Promise<string> {
    await this.#scheduler.sleep(1, this.#life)
    while (this.#trouble.state === 'hangs') await this.#scheduler.sleep(500, this.#life)
    if (this.#trouble.state === 'refuses') throw new Error('the registry cannot be reached')
    if (this.#trouble.forgetful && newerIds.has(id)) throw new CodecError('unknown_schema', `no schema ${id}`)
    return registry.schema(id)
  }
}
