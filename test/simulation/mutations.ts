/**
 * What each line of the engine's contract is for, shown by taking it away: each is found by the simulator or by a test of its own, but for those listed as unfound. A
 * mutation is a change of the engine's own text, so that the engine knows nothing of it; a text that is not found exactly once
 * is an error, so that no mutation can go stale.
 */
export interface Mutation {
  readonly name: string
  /** Seeds that are worth a try before the others: they have found it before. */
  readonly first?: readonly number[]
  /** The test that finds it, where no seed does: what it takes away shows only in an order of events that no seed brings about. */
  readonly unit?: string
  readonly changes: readonly { readonly file: string; readonly find: string; readonly put: string }[]
}

const one = (name: string, file: string, find: string, put: string): Mutation => ({ name, changes: [{ file, find, put }] })

const all: readonly Mutation[] = [
  one(
    'the offset of what changed nothing never committed',
    'engine/worker/housekeeping.ts',
    'for (const task of this.#tasks.assigned.running()) task.pass(sweeps)',
    '',
  ),
  one(
    'what a look-up was answered not journaled',
    'engine/task/collect.ts',
    'for (const answer of step.answers) overlay.appends.push(journaled(definition, partition, answer))',
    '',
  ),
  one(
    'a failed handler takes what its look-ups were answered with it',
    'engine/step/draft.ts',
    'this.emits.length = emits',
    'this.emits.length = emits\n      this.answers.length = 0',
  ),
  one('no fence of an earlier producer', 'engine/worker.ts', 'await membership.fence()', ''),
  one(
    'no offset in a transaction that only appends',
    'engine/worker/transactions.ts',
    'transaction.offsets(sealed.map(',
    'transaction.offsets(sealed.filter(({ task, next }) => next !== task.position).map(',
  ),
  {
    name: 'the newest generation instead of the captured one',
    changes: [
      {
        file: 'engine/worker/transactions.ts',
        find: 'const transaction = membership.begin(assignment)',
        put: 'const transaction = membership.begin(this.#tasks.assigned.assignment as Assignment)',
      },
      {
        file: 'engine/worker.ts',
        find: 'if (assigned.assignment !== assignment) return\n    if (dirty.length === 0)',
        put: 'if (dirty.length === 0)',
      },
      {
        file: 'engine/worker.ts',
        find: 'const current = () => assigned.assignment === assignment && !this.#revoked && !this.#stopping.signal.aborted',
        put: 'const current = () => true',
      },
      {
        file: 'engine/worker.ts',
        find: 'if (sealed.length === 0 || assigned.assignment !== assignment) return true',
        put: 'if (sealed.length === 0) return true',
      },
    ],
  },
  {
    name: 'a task retained without a look at what happened meanwhile',
    changes: [
      {
        file: 'engine/tasks.ts',
        find: 'last.member === assignment.member && assignment.generation === last.generation + 1',
        put: 'true',
      },
      {
        file: 'engine/tasks/restores.ts',
        find: 'kept && (await this.#unchanged(task, committed))',
        put: 'kept',
      },
    ],
  },
  one(
    'a transaction begun before the last has ended',
    'engine/worker.ts',
    'await this.#committing\n    if (folded < SMALL_BATCH &&',
    'if (folded < SMALL_BATCH &&',
  ),
  one(
    'overlay kept after a failed commit',
    'engine/tasks/recovery.ts',
    'if (assignment === null) return\n    const tasks = [',
    'return\n    const tasks = [',
  ),
  {
    name: 'the state store written before the commit',
    changes: [
      {
        file: 'engine/task.ts',
        find: "import type { TaskInbox } from '../schemas/types.ts'",
        put: "import { recordSchema } from '../schemas/index.ts'\nimport type { TaskInbox } from '../schemas/types.ts'",
      },
      {
        file: 'engine/task.ts',
        find: '    const changes = this.#changelogWriter.changes(sealed)\n',
        put: `    const changes = this.#changelogWriter.changes(sealed)
    const early = [...sealed.touched].map(([key, { before, after, raw }]) => {
      const mark = Buffer.from(recordSchema('Envelope').fingerprint, 'hex')
      return { key, before, after, bytes: raw === null ? null : Buffer.concat([mark, raw]) }
    })
    const checkpoint = this.store.checkpoint()
    const { inputs } = sealed
    if (checkpoint !== null) void this.store.write({ changes: early, inputs, schemas: new Map(), checkpoint })
`,
      },
    ],
  },
  one(
    'the ledger not restored',
    'engine/restore/contents.ts',
    'inputs.set(key, value === null',
    'if (key === null) inputs.set(key, value === null',
  ),
  one('the lease not checked', 'engine/effects/port-caller.ts', 'clock.mono() >= lease() || ', ''),
  {
    name: 'attempts judged in place, before the inbox is read',
    changes: [
      {
        file: 'engine/worker.ts',
        find: 'runs: attempt => this.#effects.has(attempt) })',
        put: 'runs: attempt => this.#effects.has(attempt), start: (task, attempt) => this.#effects.start(task, attempt) })',
      },
      {
        file: 'engine/worker/orphaned-attempts.ts',
        find: "task.append(key, 'EffectEnded', {",
        put: "if (outcome !== 'UNKNOWN') this.#settings.start(task, attempt)\n      else task.append(key, 'EffectEnded', {",
      },
    ],
  },
  one(
    'an attempt leaving that has ended meanwhile',
    'engine/effects/port-caller.ts',
    'if (!isOpen(task.inbox, startable)) throw',
    'if (false) throw',
  ),
  one(
    'attempts judged before their time is over',
    'engine/worker/orphaned-attempts.ts',
    'clock.mono() - orphans.since >= timeoutMs',
    'clock.mono() >= 0',
  ),
  one(
    'a late result taken as the first',
    'engine/step/effect-results.ts',
    "const late = attempt.status === 'ENDED'",
    'const late = false',
  ),
  {
    name: 'ids remembered after the handler',
    changes: [
      {
        file: 'engine/handle.ts',
        find: '    draft.ring = admitted.ring\n    possiblyDuplicate = admitted.possiblyDuplicate\n  }\n  const { type, value } = record',
        put: "    const { type, value } = record\n    const result = deliver(draft, type, c => handlerOf(draft.definition, type)(draft.state, value, c), { possiblyDuplicate: admitted.possiblyDuplicate })\n    if (result === 'handled') draft.ring = admitted.ring\n    return result\n  }\n  const { type, value } = record",
      },
    ],
  },
  one(
    'the version of a timer ignored',
    'engine/step/timers.ts',
    'timer === undefined || timer.version !== version',
    'timer === undefined',
  ),
  one('timers fired ahead of their log time', 'engine/step/timers.ts', "if (draft.now < timer.at) return 'deferred'", ''),
  one(
    'two effects of a key at a time',
    'engine/step/ledger.ts',
    "if (draft.ledger.some(a => a.status === 'STARTED')) return\n  const next",
    'const next',
  ),
  one(
    'an effect that left and failed tried again blindly',
    'engine/effects/port-caller.ts',
    "if (uncertain && retry !== 'idempotent')",
    'if (false)',
  ),
  one('not noted that an attempt leaves', 'engine/effects/port-caller.ts', 'task.store.markSent(startable.attempt)', ''),
  one(
    'notAfter not checked before leaving',
    'engine/effects/port-caller.ts',
    'if (notAfter !== null && clock.now() > notAfter)\n      throw',
    'if (false)\n      throw',
  ),
  one(
    'leaving under another generation',
    'engine/effects/port-caller.ts',
    'generation !== null && this.#settings.owned(task.inbox) === generation',
    'generation !== null',
  ),
  {
    name: 'records passed over by a driver, and nobody looks',
    changes: [
      { file: 'test/simulation/cluster/membership.ts', find: 'passesOver: 0, twice: 0', put: 'passesOver: 0.05, twice: 0' },
      { file: 'engine/task/folder.ts', find: 'if (from !== this.#expected) {', put: 'if (false) {' },
    ],
  },
  {
    name: 'records handed over twice by a driver, and nobody looks',
    changes: [
      { file: 'test/simulation/cluster/membership.ts', find: 'passesOver: 0, twice: 0', put: 'passesOver: 0, twice: 0.05' },
      { file: 'engine/task/folder.ts', find: 'if (from !== this.#expected) {', put: 'if (false) {' },
      { file: 'engine/task/folder.ts', find: 'if (record.offset < overlay.next) continue', put: '' },
    ],
  },
  one(
    'records whose schema cannot be fetched passed over',
    'engine/worker/intake.ts',
    'if (rest === null) {\n      const values',
    'if (false) {\n      const values',
  ),
  one('a transaction left open after an error', 'engine/worker/transactions.ts', 'await transaction.abort()', ''),
  one(
    'an effect leaving though it could not be noted',
    'engine/effects/port-caller.ts',
    'throw new NotDone(`the attempt could not be marked',
    'void new NotDone(`the attempt could not be marked',
  ),
  one('notes of another boot trusted', 'engine/task.ts', '!this.#givenUp && owner === this.store.id && ', ''),
  {
    name: 'a gap passed over when restoring',
    changes: [
      { file: 'engine/restore/inbox.ts', find: 'if (known < low) {', put: 'if (false) {' },
      { file: 'engine/restore/inbox.ts', find: '  return known\n}', put: '  return Math.max(known, low)\n}' },
    ],
  },
  one('a gap waited for', 'engine/tasks/recovery.ts', "if (error?.code === 'gap') {", 'if (false) {'),
  one(
    'an empty changelog believed',
    'engine/restore/checkpoint.ts',
    'if (identity === null && (states || known > 0 || holds)) {',
    'if (false) {',
  ),
  one(
    'a rolled back changelog believed',
    'engine/restore/inbox.ts',
    'const moved = accepted === null ? movedOffset(options, recovered) : null',
    'const moved = null as string | null',
  ),
  one('a store ahead of its changelog believed', 'engine/restore/checkpoint.ts', "if (witness === 'another') {", 'if (false) {'),
  one('an inbox made again believed', 'engine/restore/inbox.ts', 'if (before.identity !== identity) {', 'if (false) {'),
  one('partitions added unnoticed', 'engine/restore/inbox.ts', 'if (before.partitions !== ends.length) {', 'if (false) {'),
  one(
    'ids of an inbox made again repeated',
    'engine/restore/inbox.ts',
    'return before.identity === identity && !again ?',
    'return before.identity === identity ?',
  ),
  one(
    'an attempt ended by code that does not know its effect',
    'engine/retired.ts',
    "return listed.includes(name) ? 'retired' : 'unknown'",
    "return 'retired'",
  ),
  one(
    'retired effects not known as such',
    'engine/retired.ts',
    "return listed.includes(name) ? 'retired' : 'unknown'",
    "return 'unknown'",
  ),
  one(
    'an attempt without an end, as its result cannot be kept',
    'engine/effects/outcome-writer.ts',
    "await this.end(run, effect, sent ? 'UNKNOWN' : 'NOT_DONE', `its result cannot be kept",
    'void (`its result cannot be kept',
  ),
  one(
    'a result that cannot be kept told as not done',
    'engine/effects/outcome-writer.ts',
    "sent ? 'UNKNOWN' : 'NOT_DONE', `its result",
    "'NOT_DONE', `its result",
  ),
  one(
    'a store that could not be written trusted on',
    'engine/worker.ts',
    'if (task.writer.failure !== null) throw task.writer.failure',
    '',
  ),
  one(
    'a store that did not open left alone',
    'engine/tasks.ts',
    'if (slot.task === null) this.assigned.track(() => this.#openLater(assignment, slot))',
    'if (slot.task === null) continue',
  ),
  one(
    'a damaged store never made anew',
    'engine/tasks/assigned-tasks.ts',
    'if (damaged || slot.backoff.failures >= DISTRUSTED_AFTER) slot.distrusted = true',
    '',
  ),
  one(
    'recovery without a pause',
    'engine/worker.ts',
    'this.#tasks.recovery.failAll(this.#backoff.next(),',
    'this.#tasks.recovery.failAll(0,',
  ),
  one(
    'a partition that waits says nothing',
    'engine/tasks/assigned-tasks.ts',
    "waits: task?.state === 'STOPPED' ? null : waits",
    'waits: null',
  ),
  one('larger than a record is no poison', 'engine/size.ts', 'if (bytes > MAX_RECORD_BYTES) {', 'if (false) {'),
  one('a failed handler keeps its ledger', 'engine/step/draft.ts', '      this.ledger = ledger\n', ''),
  one('a failed handler keeps its timers', 'engine/step/draft.ts', '      this.timers = timers\n', ''),
  one(
    'a note forgotten though an earlier try may have left',
    'engine/effects/port-caller.ts',
    'else if (!attemptRun.uncertain) this.#clearSent(attemptRun)',
    'else this.#clearSent(attemptRun)',
  ),
  one(
    'a late result dropped',
    'engine/effects/port-caller.ts',
    "limit.signal.addEventListener('abort', timedOut, { once: true })",
    '',
  ),
  one(
    'what has not left is not released when draining',
    'engine/effects.ts',
    "if (this.#draining) return end('RELEASED', 'the worker is stopping')\n",
    'if (this.#draining) return\n',
  ),
  one(
    'leaving while draining',
    'engine/effects/port-caller.ts',
    "if (draining()) throw new SendRefused('RELEASED', 'the worker is stopping')",
    '',
  ),
  one('an end of an earlier start taken', 'engine/step/effect-results.ts', 'attempt.start !== start', 'false'),
  one(
    'any start of an attempt open',
    'engine/task/memory.ts',
    "a.status === 'STARTED' && a.start === start",
    "a.status === 'STARTED'",
  ),
  one(
    'a stop not kept in the changelog',
    'engine/task/changelog-writer.ts',
    "if (stop !== null) appends.push({ topic, partition, key: reserved.stop, value: this.#codec.encode(topic, 'TaskStop', stop) })",
    '',
  ),
  one(
    'handled behind a stop',
    'engine/task.ts',
    'this.#memory.overlay = { ...newOverlay(sealed.next), stop: sealed.stop }',
    'this.#memory.overlay = newOverlay(sealed.next)',
  ),
  one('a store of another log trusted', 'engine/restore/checkpoint.ts', "if (witness === 'gone' || old ||", 'if (old ||'),
  one(
    'what waits for the store not read',
    'engine/task/memory.ts',
    'const unwritten = this.#writer.get(key)',
    "const unwritten = this.#writer.get('')",
  ),
  one(
    'a write to the store overtaken by the next',
    'engine/store-writer.ts',
    'if (this.#waiting === null || this.#writing !== null) return',
    'if (this.#waiting === null) return',
  ),
  one('what a crash of the machine has left believed', 'engine/restore/checkpoint.ts', ' || checkpoint.lost === true', ''),
  one('the store written by an owner of before', 'engine/tasks.ts', 'await Promise.all(closing)\n', ''),
  one('the store written by a restore of before', 'engine/tasks/restores.ts', 'await Promise.all(this.#writing)\n', ''),
  one(
    'retained with what was only folded',
    'engine/task.ts',
    "this.#memory.reset(this.position)\n    this.#folder.rewind(this.position)\n    this.epoch++\n    this.transition('RUNNING')",
    "this.#folder.rewind(this.position)\n    this.epoch++\n    this.transition('RUNNING')",
  ),
  one(
    'applied though the tasks have been given out anew',
    'engine/worker.ts',
    'if (assigned.assignment !== assignment) return true\n    const started',
    'const started',
  ),
  one('retained though its changelog has moved', 'engine/tasks/restores.ts', 'if (records.length > 0) return false\n', ''),
  one(
    'retained though another offset is committed',
    'engine/tasks/restores.ts',
    'if (committed?.offset !== position) return false\n',
    '',
  ),
  one(
    'a cycle begun while an earlier producer is fenced',
    'engine/worker.ts',
    'await this.#fencing\n    const { assignment }',
    'const { assignment }',
  ),
  one('fenced while a cycle is under way', 'engine/worker.ts', 'await before\n      await this.#ended()\n', 'await before\n'),
  one('records of an earlier life folded', 'engine/worker/intake.ts', '|| epochs.get(task) !== task.epoch', ''),
  one('a poisoned end of an effect parked', 'engine/step/deliver.ts', "type === 'EffectEnded' ? 'skip' :", "false ? 'skip' :"),
]

/** Seeds that have found what others before them do not: they come first. */
const FIRST: Readonly<Record<string, readonly number[]>> = {
  'the lease not checked': [6],
  'attempts judged in place, before the inbox is read': [18],
  'an attempt leaving that has ended meanwhile': [312],
  'attempts judged before their time is over': [6],
  'the version of a timer ignored': [21],
  'a gap passed over when restoring': [21],
  'an empty changelog believed': [22],
  'a gap waited for': [131],
  'a rolled back changelog believed': [285],
  'an inbox made again believed': [550],
  'a store ahead of its changelog believed': [160],
  'an attempt ended by code that does not know its effect': [28],
  'ids of an inbox made again repeated': [263],
  'a store that did not open left alone': [122],
  'the store written by a restore of before': [40],
  'a store of another log trusted': [22],
}

/** Held by a test, for no seed finds them. */
const UNIT: Readonly<Record<string, string>> = {
  'a failed handler takes what its look-ups were answered with it': 'engine/lookups.test.ts',
  'a transaction left open after an error': 'engine/faults.test.ts',
  'an effect leaving though it could not be noted': 'engine/effects.test.ts',
  'a damaged store never made anew': 'engine/faults.test.ts',
  'a note forgotten though an earlier try may have left': 'engine/effects.test.ts',
  'what has not left is not released when draining': 'engine/effects.test.ts',
  'leaving while draining': 'engine/effects.test.ts',
  'leaving under another generation': 'engine/effects.test.ts',
  'an end of an earlier start taken': 'engine/handle.test.ts',
  'any start of an attempt open': 'engine/task.test.ts',
  'handled behind a stop': 'engine/task.test.ts',
  'retained with what was only folded': 'engine/task.test.ts',
  'a poisoned end of an effect parked': 'engine/handle.test.ts',
  'retained though its changelog has moved': 'engine/worker.test.ts',
  'retained though another offset is committed': 'engine/worker.test.ts',
  'a store that could not be written trusted on': 'engine/faults.test.ts',
}

/**
 * Neither a seed nor a test finds these, for the reason that is given: another line makes up for what they take away.
 * `node test/simulation/mutants.ts` tries them, too.
 */
const UNFOUND: Readonly<Record<string, string>> = {
  'the newest generation instead of the captured one':
    'an assignment takes all tasks at once, so that nothing is dirty until they are restored; and that begins with the fence, which waits for the commit on its way',
  'the store written by an owner of before':
    'what it writes is of a committed transaction; a restore reads that from the changelog and writes it again',
  'applied though the tasks have been given out anew':
    'what it writes to the store is committed, and the restore that follows writes the same again',
  'a cycle begun while an earlier producer is fenced':
    'the transaction that the fence ends fails, and its tasks are restored: work is lost, no record',
  'fenced while a cycle is under way':
    'the transaction that the fence ends fails, and its tasks are restored: work is lost, no record',
  'records of an earlier life folded':
    'a range that does not continue what was folded is read again, and an offset that was handled is passed over',
}

export const mutations: readonly Mutation[] = all
  .filter(({ name }) => !(name in UNFOUND))
  .map(mutation => {
    const unit = UNIT[mutation.name]
    return { ...mutation, first: FIRST[mutation.name] ?? [], ...(unit === undefined ? {} : { unit }) }
  })

export const unfound: readonly Mutation[] = all.filter(({ name }) => name in UNFOUND)
