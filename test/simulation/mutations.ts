/**
 * What each line of the engine's contract is for, shown by taking it away: every mutation must be found by the simulator. A
 * mutation is a change of the engine's own text, so that the engine knows nothing of it; a text that is not found exactly once
 * is an error, so that no mutation can go stale.
 */
export interface Mutation {
  readonly name: string
  readonly changes: readonly { readonly file: string; readonly find: string; readonly put: string }[]
}

const one = (name: string, file: string, find: string, put: string): Mutation => ({ name, changes: [{ file, find, put }] })

export const mutations: readonly Mutation[] = [
  one('no fence of an earlier producer', 'engine/worker.ts', 'await membership.fence()', ''),
  one(
    'no offset in a transaction that only appends',
    'engine/worker.ts',
    'positions.push({ ...task.inbox, offset: next })',
    'if (next !== task.position) positions.push({ ...task.inbox, offset: next })',
  ),
  {
    name: 'the newest generation instead of the captured one',
    changes: [
      {
        file: 'engine/worker.ts',
        find: 'const transaction = membership.begin(assignment)',
        put: 'const transaction = membership.begin(this.#assignment as Assignment)',
      },
      {
        file: 'engine/worker.ts',
        find: 'if (dirty.length === 0 || this.#assignment !== assignment) return',
        put: 'if (dirty.length === 0) return',
      },
    ],
  },
  {
    name: 'a task retained without a look at what happened meanwhile',
    changes: [
      {
        file: 'engine/worker.ts',
        find: 'last.member === assignment.member && assignment.generation === last.generation + 1',
        put: 'true',
      },
      {
        file: 'engine/worker.ts',
        find: 'retained.has(task) && (await this.#unchanged(task, at))',
        put: 'retained.has(task)',
      },
    ],
  },
  one(
    'a transaction begun before the last has ended',
    'engine/worker.ts',
    'await this.#committing\n    if (folded < FEW)',
    'if (folded < FEW)',
  ),
  one(
    'overlay kept after a failed commit',
    'engine/worker.ts',
    'if (this.#assignment !== assignment) return\n    const tasks',
    'return\n    const tasks',
  ),
  one(
    'the state store written before the commit',
    'engine/task.ts',
    "    if (next !== this.position) put(reserved.position, codec.encode(topic, 'TaskPosition', { next }))",
    `    const early = [...touched].map(([key, entry]) => change(key, entry))
    const checkpoint = this.store.checkpoint()
    if (checkpoint !== null) void this.store.write({ changes: early, inputs, schemas: new Map(), checkpoint })
    if (next !== this.position) put(reserved.position, codec.encode(topic, 'TaskPosition', { next }))`,
  ),
  one(
    'the ledger not restored',
    'engine/restore.ts',
    'inputs.set(key, value === null',
    'if (key === null) inputs.set(key, value === null',
  ),
  one('the lease not checked', 'engine/effects.ts', 'clock.mono() >= lease() || ', ''),
  one(
    'attempts judged in place, before the inbox is read',
    'engine/worker.ts',
    "task.append(key, 'EffectEnded', {",
    "if (outcome !== 'UNKNOWN') this.#effects.start(task, attempt)\n      else task.append(key, 'EffectEnded', {",
  ),
  one(
    'an attempt leaving that has ended meanwhile',
    'engine/effects.ts',
    'if (!this.#settings.isOpen(task.inbox, startable)) throw',
    'if (false) throw',
  ),
  one(
    'attempts judged before their time is over',
    'engine/worker.ts',
    'clock.mono() - judgement.since >= effect.timeoutMs',
    'clock.mono() >= 0',
  ),
  one('a late result taken as the first', 'engine/handle.ts', "const late = attempt.status === 'ENDED'", 'const late = false'),
  {
    name: 'ids remembered after the handler',
    changes: [
      {
        file: 'engine/handle.ts',
        find: "if (taken.known) return 'duplicate'\n      this.#ring = taken.ring\n      maybeSeen = taken.maybeSeen\n    }\n    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { maybeSeen })",
        put: "if (taken.known) return 'duplicate'\n      const result = this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { maybeSeen: taken.maybeSeen })\n      if (result === 'handled') this.#ring = taken.ring\n      return result\n    }\n    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { maybeSeen })",
      },
    ],
  },
  one(
    'the version of a timer ignored',
    'engine/handle.ts',
    'timer === undefined || timer.version !== version',
    'timer === undefined',
  ),
  one('timers fired ahead of their log time', 'engine/handle.ts', "if (this.#now < timer.at) return 'put_back'", ''),
  one(
    'two effects of a key at a time',
    'engine/handle.ts',
    "if (this.#ledger.some(a => a.status === 'STARTED')) return\n    const next",
    'const next',
  ),
  one(
    'an effect that left and failed tried again blindly',
    'engine/effects.ts',
    "if (uncertain && retry !== 'idempotent')",
    'if (false)',
  ),
  one('not noted that an attempt leaves', 'engine/effects.ts', 'task.store.note(startable.attempt)', ''),
  one(
    'notAfter not checked before leaving',
    'engine/effects.ts',
    'if (notAfter !== null && clock.now() > notAfter)\n      throw',
    'if (false)\n      throw',
  ),
  one(
    'leaving under another generation',
    'engine/effects.ts',
    'generation !== null && this.#settings.owned(task.inbox) === generation',
    'generation !== null',
  ),
]
