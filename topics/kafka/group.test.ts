import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import { append, codeOf, newGroup, newTopic, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import { type Assignment, type LogRecord, partitionKey, type Polled } from '../log.ts'
import { type KafkaLog, type KafkaLogOptions, openKafkaLog } from './log.ts'

vi.setConfig({ testTimeout: 30_000 })

const SESSION = 3_000

interface Member {
  readonly membership: Awaited<ReturnType<KafkaLog['join']>>
  readonly assignments: readonly Assignment[]
  /** Its newest partitions, of one topic or all. */
  partitions(topic?: Topic): string[]
  generation(): number
}

await describeWithStack('a group on a real broker', ({ KAFKA_BROKERS }) => {
  const kafka = { brokers: KAFKA_BROKERS?.split(',') ?? [] }
  const logs: KafkaLog[] = []
  const errors: string[] = []
  afterEach(async () => {
    for (const log of logs.splice(0)) await log.close()
    errors.length = 0
  })

  async function open(topics: readonly Topic[], options: Partial<KafkaLogOptions> = {}): Promise<KafkaLog> {
    const onError = (what: string, error: unknown) => errors.push(`${what}: ${(error as Error).message}`)
    const log = await openKafkaLog({ kafka, topics, sessionTimeout: SESSION, rebalanceTimeout: 10_000, onError, ...options })
    logs.push(log)
    return log
  }

  async function join(log: KafkaLog, group: string, topics: readonly Topic[], revoked = async () => {}): Promise<Member> {
    const assignments: Assignment[] = []
    const membership = await log.join({
      group,
      topics: topics.map(t => t.name),
      instance: `worker-${newGroup()}`,
      revoked,
      assigned: assignment => assignments.push(assignment),
    })
    return {
      membership,
      assignments,
      partitions: topic =>
        (assignments.at(-1)?.partitions ?? []).filter(p => topic === undefined || p.topic === topic.name).map(partitionKey),
      generation: () => assignments.at(-1)?.generation ?? -1,
    }
  }

  /** All of them are in one generation, and have everything between them. */
  async function settled(members: readonly Member[], topics: readonly Topic[]): Promise<void> {
    const all = topics.flatMap(t => Array.from({ length: t.partitions }, (_, partition) => `${t.name}/${partition}`))
    await expect
      .poll(() => [new Set(members.map(m => m.generation())).size, members.flatMap(m => m.partitions()).toSorted()], {
        timeout: 15_000,
      })
      .toEqual([1, all.toSorted()])
  }

  it('divides the partitions of every topic evenly, and moves few of them when a member joins or leaves', async () => {
    const topics = [newTopic({ partitions: 6 }), newTopic({ partitions: 4 })]
    const log = await open(topics)
    const group = newGroup()
    const counts = (members: readonly Member[]) => topics.map(t => members.map(m => m.partitions(t).length).toSorted())
    const two = [await join(log, group, topics), await join(log, group, topics)]
    await settled(two, topics)
    expect(counts(two)).toEqual([
      [3, 3],
      [2, 2],
    ])
    const before = two.map(m => m.partitions())
    const third = await join(log, group, topics)
    await settled([...two, third], topics)
    expect(counts([...two, third])).toEqual([
      [2, 2, 2],
      [1, 1, 2],
    ])
    for (const [i, member] of two.entries()) expect(before[i]).toEqual(expect.arrayContaining(member.partitions()))
    const kept = two.map(m => m.partitions())
    await third.membership.leave()
    await settled(two, topics)
    for (const [i, member] of two.entries()) expect(member.partitions()).toEqual(expect.arrayContaining(kept[i]!))
  })

  it('waits for a member until its open work has ended; until then it has no lease, and its fetched records are dropped', async () => {
    const topic = newTopic({ partitions: 2 })
    const log = await open([topic])
    const group = newGroup()
    const released = Promise.withResolvers<void>()
    const events: string[] = []
    const first = await join(log, group, [topic], async () => {
      events.push('revoking')
      await released.promise
      events.push('revoked')
    })
    await settled([first], [topic])
    const records = [0, 1].flatMap(partition =>
      Array.from({ length: 10 }, (_, i) => append(topic, 'k', `${partition}:${i}`, { partition })),
    )
    await log.append(records)
    for (const partition of first.assignments[0]!.partitions) first.membership.start({ ...partition, offset: 0 })
    // What is not taken waits for the next poll.
    await expect.poll(async () => recordsOf(await first.membership.poll({ max: 2, wait: 1_000 }))).toHaveLength(2)

    expect(first.membership.lease()).toBeGreaterThan(performance.now())
    const second = await join(log, group, [topic])
    await expect.poll(() => events, { timeout: 10_000 }).toEqual(['revoking'])
    const since = performance.now()
    while (performance.now() - since < 500) {
      expect(first.membership.lease()).toBeLessThanOrEqual(performance.now())
      // Any answer of the broker: time passes for the other member as well.
      await log.groupOffsets(group)
    }
    expect([first.assignments.length, second.assignments.length]).toEqual([1, 0])
    released.resolve()
    await settled([first, second], [topic])
    expect(events).toEqual(['revoking', 'revoked'])
    expect(first.membership.lease()).toBeGreaterThan(performance.now())

    expect(await first.membership.poll({ max: 100, wait: 50 })).toEqual([])
    const [own] = first.assignments.at(-1)!.partitions
    first.membership.start({ ...own!, offset: 0 })
    const again = await first.membership.poll({ max: 100, wait: 5_000 })
    expect(texts(recordsOf(again))).toEqual(Array.from({ length: 10 }, (_, i) => `${own!.partition}:${i}`))
  })

  it('never leases tasks for longer than the group waits for a member', async () => {
    const topic = newTopic({ partitions: 1 })
    const shorter = await open([topic], { sessionTimeout: 2_000, rebalanceTimeout: 1_000 })
    const longer = await open([topic], { sessionTimeout: 1_000, rebalanceTimeout: 2_000 })
    for (const log of [shorter, longer]) {
      const member = await join(log, newGroup(), [topic])
      await settled([member], [topic])
      const leases = new Set<number>()
      while (leases.size < 3) {
        const lease = member.membership.lease()
        leases.add(lease)
        expect(lease - performance.now()).toBeLessThanOrEqual(1_000)
        await member.membership.poll({ max: 1, wait: 5 })
      }
      expect([...leases]).toEqual([...leases].toSorted((a, b) => a - b))
    }
  })

  it('continues without a member that does not poll, and takes it back when it does', async () => {
    const topic = newTopic({ partitions: 2 })
    const log = await open([topic], { pollTimeout: 1_000 })
    const group = newGroup()
    const [hangs, polls] = [await join(log, group, [topic]), await join(log, group, [topic])]
    let polling = true
    const loop = (async () => {
      while (polling) await polls.membership.poll({ max: 1, wait: 50 })
    })()
    try {
      await expect.poll(() => polls.partitions().length, { timeout: 10_000 }).toBe(2)
      await expect.poll(() => errors.join(), { timeout: 1_000 }).toContain('has not polled for')
      expect(hangs.membership.lease()).toBeLessThanOrEqual(performance.now())
      const old = hangs.assignments.at(-1)!
      await hangs.membership.fence()
      const late = hangs.membership.begin(old)
      late.offsets([{ ...old.partitions[0]!, offset: 1 }])
      expect(await codeOf(late.commit())).toBe('fenced')

      await hangs.membership.poll({ max: 1, wait: 0 })
      await expect.poll(() => hangs.partitions().length * polls.partitions().length, { timeout: 10_000 }).toBe(1)
      expect(hangs.generation()).toBeGreaterThan(old.generation)
    } finally {
      polling = false
      await loop
    }
  })

  it('does not wait for the session of a killed member when the next process knows its id', async () => {
    const folder = mkdtempSync(path(tmpdir(), 'members-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const topic = newTopic({ partitions: 1 })
    const remembering = await open([topic], { folder })
    const forgetting = await open([topic])
    const groups = { remembering: newGroup(), forgetting: newGroup() }
    await killedMember({ kafka, topics: [topic], sessionTimeout: SESSION, rebalanceTimeout: 10_000 }, [
      { folder, group: groups.remembering },
      { folder: null, group: groups.forgetting },
    ])
    expect(readdirSync(folder).filter(file => file.endsWith('.member'))).toHaveLength(1)
    const began = performance.now()
    const joined = async (log: KafkaLog, group: string) => {
      const assigned = Promise.withResolvers<number>()
      const done = () => assigned.resolve(performance.now() - began)
      await log.join({ group, topics: [topic.name], instance: 'killed', revoked: async () => {}, assigned: done })
      return assigned.promise
    }
    const [quick, slow] = await Promise.all([joined(remembering, groups.remembering), joined(forgetting, groups.forgetting)])
    expect(quick).toBeLessThan(SESSION / 2)
    expect(slow - quick).toBeGreaterThan(SESSION / 3)
  })

  it('refuses a second process of a running instance, and names the first, which continues', async () => {
    const folder = mkdtempSync(path(tmpdir(), 'members-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const topic = newTopic({ partitions: 1 })
    const [first, second] = [await open([topic], { folder }), await open([topic], { folder })]
    const group = newGroup()
    const assignments: Assignment[] = []
    const options = { group, topics: [topic.name], instance: 'same', revoked: async () => {} }
    const membership = await first.join({ ...options, assigned: assignment => assignments.push(assignment) })
    await expect.poll(() => assignments.length, { timeout: 10_000 }).toBe(1)
    await membership.fence()
    const joining = second.join({ ...options, assigned: () => {} })
    await expect(joining).rejects.toMatchObject({ code: 'locked', message: expect.stringContaining(`${process.pid}`) })
    const transaction = membership.begin(assignments[0]!)
    transaction.offsets([{ topic: topic.name, partition: 0, offset: 1 }])
    await transaction.commit()
    expect(assignments).toHaveLength(1)
    await membership.leave()
    const after = await second.join({ ...options, assigned: assignment => assignments.push(assignment) })
    await expect.poll(() => assignments.length, { timeout: 10_000 }).toBe(2)
    await after.leave()
  })
})

function recordsOf(polled: readonly Polled[]): LogRecord[] {
  return polled.flatMap(({ records }) => records)
}

/** A process that is a member of these groups, and is killed. */
async function killedMember(options: KafkaLogOptions, lives: readonly { folder: string | null; group: string }[]): Promise<void> {
  const code = `
    const [{ openKafkaLog }, options, lives] = [await import(process.argv[1]), ...process.argv.slice(2).map(JSON.parse)]
    for (const { folder, group } of lives) {
      const log = await openKafkaLog({ ...options, folder })
      const topics = options.topics.map(t => t.name)
      const assigned = () => console.log(group)
      await log.join({ group, topics, instance: 'killed', revoked: async () => {}, assigned })
    }`
  const args = [new URL('./log.ts', import.meta.url).href, JSON.stringify(options), JSON.stringify(lives)]
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let said = ''
  child.stdout.on('data', data => {
    said += data
    if (lives.every(({ group }) => said.includes(group))) child.kill('SIGKILL')
  })
  expect((await exited)[1]).toBe('SIGKILL')
}
