import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it, vi } from 'vitest'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { defineTopic } from '../catalog.ts'
import { type Assignment, type Membership, partitionKey } from '../log.ts'
import { type KafkaLogOptions, openKafkaLog } from './log.ts'

const SESSION = 2_000

/** Membership on a real broker: ENGINE 1, 4, 6 and 15. */
await describeWithStack('a group on a real broker', ({ KAFKA_BROKERS }) => {
  const kafka = { brokers: KAFKA_BROKERS.split(',') }
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  const topics = [8, 4].map(partitions => defineTopic(`group.${randomUUID()}`, 'key', [], { partitions }))
  const group = () => `group-${randomUUID()}`

  interface Member {
    membership: Membership
    assignments: Assignment[]
    revocations: number
  }
  async function member(
    name: string,
    of: string,
    more: Partial<KafkaLogOptions> & { revoked?: () => Promise<void>; polls?: boolean } = {},
  ) {
    const { revoked = async () => {}, polls = true, ...options } = more
    const log = await openKafkaLog({
      kafka,
      topics,
      sessionTimeout: SESSION,
      rebalanceTimeout: 4_000,
      ...options,
    })
    const one: Member = { assignments: [], revocations: 0, membership: null as unknown as Membership }
    one.membership = await log.join({
      group: of,
      instance: name,
      topics: topics.map(t => t.name),
      revoked: async () => {
        one.revocations++
        await revoked()
      },
      assigned: assignment => one.assignments.push(assignment),
    })
    let going = polls
    const polling = (async () => {
      while (going) await one.membership.poll({ max: 10, wait: 50 }).catch(() => sleep(50))
    })()
    closers.push(async () => {
      going = false
      await log.close()
      await polling
    })
    return Object.assign(one, { log })
  }
  /** A member in a process of its own, killed once it has its tasks. */
  async function killedLife(of: string, options: Partial<KafkaLogOptions>): Promise<void> {
    const settings = JSON.stringify({ kafka, topics, ...options })
    const joining = JSON.stringify({ group: of, instance: 'one', topics: topics.map(t => t.name) })
    const script = `
      import { openKafkaLog } from ${JSON.stringify(join(import.meta.dirname, 'log.ts'))}
      const log = await openKafkaLog(${settings})
      await log.join({ ...${joining}, revoked: async () => {}, assigned: () => console.log('assigned') })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  const newest = ({ assignments }: Member) => assignments.at(-1)!
  /** All partitions, once, and evenly, in one generation. */
  const shared = (...members: Member[]) =>
    vi.waitFor(
      () => {
        const given = members.map(newest)
        expect(new Set(given.map(a => a?.generation)).size).toBe(1)
        const all = given.flatMap(a => a.partitions.map(partitionKey))
        expect(all).toHaveLength(12)
        expect(new Set(all).size).toBe(12)
        for (const { partitions } of given) {
          for (const { name, partitions: count } of topics) {
            const own = partitions.filter(p => p.topic === name).length
            expect(own).toBeGreaterThanOrEqual(Math.floor(count / members.length))
            expect(own).toBeLessThanOrEqual(Math.ceil(count / members.length))
          }
        }
      },
      { timeout: 15_000, interval: 50 },
    )

  it('shares whole tasks evenly as members come and go, and moves no more than it must', { timeout: 40_000 }, async () => {
    const of = group()
    const [one, two] = [await member('one', of), await member('two', of)]
    await shared(one, two)
    const before = new Set(newest(one).partitions.map(partitionKey))
    const three = await member('three', of)
    await shared(one, two, three)
    expect(newest(one).partitions.every(p => before.has(partitionKey(p)))).toBe(true)
    await three.membership.leave()
    await shared(one, two)
  })

  it('is joined anew only once what was under way has ended', { timeout: 40_000 }, async () => {
    const of = group()
    let release: () => void = () => {}
    const slow = { wait: Promise.resolve() as Promise<unknown> }
    const one = await member('one', of, { revoked: () => slow.wait as Promise<void> })
    await vi.waitFor(() => expect(newest(one).partitions).toHaveLength(12), { timeout: 10_000 })
    slow.wait = new Promise<void>(resolve => {
      release = resolve
    })
    const two = await member('two', of)
    await vi.waitFor(() => expect(one.revocations).toBe(1), { timeout: 5_000 })
    // Asked to join anew: from now on nothing may leave.
    expect(one.membership.lease()).toBeLessThanOrEqual(performance.now())
    await sleep(500)
    expect(two.assignments).toEqual([])
    release()
    await shared(one, two)
  })

  it('gives a lease that ends with the session after the last good heartbeat', { timeout: 20_000 }, async () => {
    const one = await member('one', group())
    await vi.waitFor(() => expect(one.assignments).toHaveLength(1), { timeout: 10_000 })
    for (let n = 0; n < 10; n++) {
      expect(one.membership.lease()).toBeLessThanOrEqual(performance.now() + SESSION)
      expect(one.membership.lease()).toBeGreaterThan(performance.now())
      await sleep(200)
    }
  })

  it('is left by one that hangs, and joined again once it polls', { timeout: 40_000 }, async () => {
    const of = group()
    const hanging = await member('hanging', of, { polls: false, pollTimeout: 1_500 })
    await vi.waitFor(() => expect(hanging.assignments).toHaveLength(1), { timeout: 10_000 })
    const two = await member('two', of)
    await vi.waitFor(() => expect(newest(two)?.partitions).toHaveLength(12), { timeout: 15_000 })
    expect(hanging.membership.lease()).toBeLessThanOrEqual(performance.now())
    const polling = setInterval(() => void hanging.membership.poll({ max: 1, wait: 10 }).catch(() => {}), 100)
    await shared(hanging, two)
    clearInterval(polling)
  })

  it('does not wait for the session of a life that was killed, where its folder is there', { timeout: 60_000 }, async () => {
    const took: Record<string, number> = {}
    for (const kept of [true, false]) {
      const folder = mkdtempSync(join(tmpdir(), 'members-'))
      closers.push(async () => rmSync(folder, { recursive: true, force: true }))
      const of = group()
      const options = { folder: kept ? folder : null, sessionTimeout: 4_000, rebalanceTimeout: 20_000 }
      await killedLife(of, options)
      const began = performance.now()
      const second = await member('one', of, options)
      await vi.waitFor(() => expect(newest(second)?.partitions).toHaveLength(12), { timeout: 30_000 })
      took[String(kept)] = performance.now() - began
    }
    expect(took.false).toBeGreaterThan(2_000)
    expect(took.true).toBeLessThan(2_000)
  })
})
