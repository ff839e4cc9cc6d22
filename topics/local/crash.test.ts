import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LogError, type LogRecord } from '../log.ts'
import { changelog, GROUP, idOf, inbox, type Kept, open, outputs, restore } from './testing/crash-child.ts'
import type { LocalLog } from './log.ts'

let folder = ''
let child: ChildProcess | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'crash-'))
})
afterEach(async () => {
  if (child?.exitCode === null && child.signalCode === null) await kill(child)
  rmSync(folder, { recursive: true, force: true })
})

/** Starts the busy process; `line` sees what it says, line by line, until it returns true. Resolves then. */
function start(file: string, run: number, line: (line: string) => boolean): Promise<ChildProcess> {
  const started = spawn(process.execPath, [join(import.meta.dirname, 'testing', 'crash-child.ts'), file, `${run}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child = started
  return new Promise((resolve, reject) => {
    let text = ''
    let errors = ''
    started.stdout.on('data', data => {
      const lines = `${text}${data}`.split('\n')
      text = lines.pop() as string
      for (const each of lines) if (line(each)) resolve(started)
    })
    started.stderr.on('data', data => {
      errors += data
    })
    started.on('exit', (code, signal) => {
      if (signal !== 'SIGKILL') reject(new Error(`it ended by itself with ${code ?? signal}: ${errors}`))
    })
  })
}

async function kill(killed: ChildProcess): Promise<void> {
  const closed = once(killed, 'close')
  killed.kill('SIGKILL')
  await closed
}

async function readAll(log: LocalLog, topic: string, partition: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const { high } = (await log.ends(topic))[partition]!
  for (let at = 0; at < high; ) {
    const read = await log.read({ topic, partition }, at)
    records.push(...read.records)
    at = read.next
  }
  return records
}

/** What the process has been told by its log, over all runs. */
class Acknowledged {
  readonly appended: { partition: number; offset: number; id: string }[] = []
  readonly committed = [0, 0, 0]
  lines = 0

  take(line: string): void {
    const [what, partition, offset, id] = line.split(' ')
    if (what === 'appended') this.appended.push({ partition: Number(partition), offset: Number(offset), id: id as string })
    if (what === 'committed') this.committed[Number(partition)] = Number(offset)
    this.lines++
  }

  /** Everything acknowledged is there, and outputs, changelog and offsets say the same. */
  async check(log: LocalLog): Promise<void> {
    const positions = await log.groupOffsets(GROUP)
    for (let partition = 0; partition < inbox.partitions; partition++) {
      const inputs = await readAll(log, inbox.name, partition)
      expect(inputs.map(({ offset }) => offset)).toEqual(inputs.map((_, i) => i))
      for (const { offset, id } of this.appended.filter(a => a.partition === partition)) {
        expect(inputs[offset]?.value && idOf(inputs[offset].value), `${partition}@${offset}`).toBe(id)
      }
      const next = positions.find(p => p.partition === partition)?.offset ?? 0
      expect(next).toBeGreaterThanOrEqual(this.committed[partition]!)
      const state = (await restore(log, partition)).get('kept')
      const kept: Kept = state === undefined ? { count: 0, next: 0 } : JSON.parse(state)
      expect(kept, `changelog of partition ${partition}`).toEqual({ count: next, next })
      const done = await readAll(log, outputs.name, partition)
      expect(done.map(({ value }) => idOf(value!))).toEqual(inputs.slice(0, next).map(({ value }) => idOf(value!)))
    }
  }
}

it('keeps what it acknowledged, and transactions atomic, however often it is killed', { timeout: 120_000 }, async () => {
  const file = join(folder, 'log.db')
  const acknowledged = new Acknowledged()
  for (let run = 0; run < 20; run++) {
    // Mostly in full work, sometimes while it opens the file; and not always right after an acknowledgement.
    const enough = run % 5 === 0 ? 1 : acknowledged.lines + 100 + ((run * 379) % 900)
    const running = await start(file, run, line => {
      acknowledged.take(line)
      return acknowledged.lines >= enough
    })
    await setTimeout((run * 7) % 10)
    await kill(running)
    const log = await open(file)
    await acknowledged.check(log)
    await log.close()
  }
  expect(acknowledged.appended.length).toBeGreaterThan(1000)
  expect(Math.min(...acknowledged.committed)).toBeGreaterThan(0)
  const log = await open(file)
  const kept = await Promise.all([0, 1, 2].map(partition => readAll(log, changelog.name, partition)))
  const commits = (await log.ends(changelog.name)).map(({ high }) => high)
  expect(kept.flat().length, 'the changelog was compacted meanwhile').toBeLessThan(commits.reduce((a, b) => a + b))
  await log.close()
})

it('refuses a second process while the first is alive, and accepts it once that is dead', async () => {
  const file = join(folder, 'log.db')
  const running = await start(file, 0, line => line.startsWith('committed'))
  const refused = await open(file).catch(error => error)
  expect(refused).toBeInstanceOf(LogError)
  expect(refused.code).toBe('locked')
  expect(refused.message).toContain(file)
  await kill(running)
  const log = await open(file)
  expect((await log.ends(inbox.name)).some(({ high }) => high > 0)).toBe(true)
  await log.close()
})
