import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { append, join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { freePort } from '../../test/stack/server.ts'
import { type Broker, startBroker } from '../../test/stack/stack.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { brokenOff } from '../../test/torture/interceptors.ts'
import { type ApiName, type BrokerProxy, startProxy } from '../../test/torture/proxy.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import type { TransactionVersion } from './transaction-protocol.ts'

vi.setConfig({ testTimeout: 30_000 })

const SESSION = 3_000

/** The broker has done what it was asked for, but nobody has heard of it. */
await describeWithStack('an answer of the broker that is lost', () => {
  const folder = mkdtempSync(path(tmpdir(), 'answers-'))
  const inbox = newTopic({ partitions: 1 })
  const at = { topic: inbox.name, partition: 0 }
  const outputs = Array.from({ length: 15 }, () => newTopic({ partitions: 1 }))
  let broker: Broker
  let proxy: BrokerProxy
  const logs = new Map<TransactionVersion, KafkaLog>()
  let log: KafkaLog

  beforeAll(async () => {
    const port = await freePort()
    proxy = await startProxy(port)
    broker = await startBroker({ folder, proxied: { port, by: proxy.port } })
    for (const transactionVersion of [1, 2] as const) {
      log = await openKafkaLog({
        kafka: { brokers: [`127.0.0.1:${proxy.port}`], requestTimeout: 3_000 },
        topics: [inbox, ...outputs],
        sessionTimeout: SESSION,
        rebalanceTimeout: SESSION,
        transactionVersion,
      })
      logs.set(transactionVersion, log)
    }
  })
  afterAll(async () => {
    for (const opened of logs.values()) await opened.close()
    await proxy?.close()
    await broker?.server.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Loses so many answers of this kind while the work is done. */
  async function losing<T>(api: ApiName, times: number, work: () => Promise<T>): Promise<T> {
    const before = proxy.lost
    for (let i = 0; i < times; i++) proxy.lose(api)
    const result = await work()
    expect(proxy.lost - before, `answers to ${api} that were lost`).toBe(times)
    return result
  }

  it('to an append leaves its records stored once, in order', async () => {
    const topic = outputs.pop()!
    await log.append([append(topic, 'k', 'first')])
    const positions = await losing('Produce', 2, () => log.append([append(topic, 'k', 'a'), append(topic, 'k', 'b')]))
    expect(positions.map(p => p.offset)).toEqual([1, 2])
    await log.append([append(topic, 'k', 'last')])
    expect(texts(await readAll(log, topic))).toEqual(['first', 'a', 'b', 'last'])
  })

  for (const [version, api] of [
    [1, 'AddPartitionsToTxn'],
    [1, 'AddOffsetsToTxn'],
    ...([1, 2] as const).flatMap(v => (['Produce', 'TxnOffsetCommit', 'EndTxn'] as const).map(api => [v, api] as const)),
  ] as const) {
    it(`to ${api} leaves a transaction committed, once (version ${version})`, async () => {
      const log = logs.get(version) as KafkaLog
      const topic = outputs.pop()!
      const group = newGroup()
      const { membership, assignment } = await join(log, group, inbox)
      const commit = (text: string, offset: number) => {
        const transaction = membership.begin(assignment)
        transaction.append(append(topic, 'k', text))
        transaction.offsets([{ ...at, offset }])
        return transaction.commit()
      }
      await commit('before', 1)
      const last = await losing(api, 2, () => commit('in between', 2))
      const [, inBetween] = await readAll(log, topic)
      expect(last).toEqual(new Map([[`${topic.name}/0`, inBetween!.offset]]))
      await commit('after', 3)
      expect(texts(await readAll(log, topic))).toEqual(['before', 'in between', 'after'])
      expect(await membership.committed([at])).toEqual([{ ...at, offset: 3 }])
      await membership.leave()
    })
  }

  it('to a read, or to InitProducerId, is requested again', async () => {
    const topic = outputs.pop()!
    await log.append([append(topic, 'k', 'kept')])
    const { records } = await losing('Fetch', 1, () => log.read({ topic: topic.name, partition: 0 }, 0, { wait: 10_000 }))
    expect(texts(records)).toEqual(['kept'])
    const { membership } = await join(log, newGroup(), inbox)
    await losing('InitProducerId', 2, () => membership.fence())
    await losing('OffsetFetch', 1, () => membership.committed([at]))
    await membership.leave()
  })

  it('to a read, of which only a part has arrived, is requested again, and not mixed with the next', async () => {
    const topic = outputs.pop()!
    const wanted = Array.from({ length: 100 }, (_, n) => `${n} ${'x'.repeat(1_000)}`)
    await log.append(wanted.map(text => append(topic, 'k', text)))
    const broken = brokenOff({ topic: topic.name, partition: 0 }, 3)
    const ends = broken.interceptors.map(interceptor => proxy.intercept(interceptor))
    expect(texts(await readAll(log, topic))).toEqual(wanted)
    expect(broken.hits()).toBe(3)
    for (const end of ends) end()
  })

  it('to a heartbeat does not end the membership, and a lease counts from when a heartbeat that was answered was sent', async () => {
    const { membership, assignment } = await join(log, newGroup(), inbox)
    await losing('Heartbeat', 1, async () => {
      const lease = membership.lease()
      await expect.poll(() => membership.lease(), { timeout: 10_000 }).toBeGreaterThan(lease)
    })
    const release = Promise.withResolvers<void>()
    await proxy.hold('Heartbeat', release.promise)
    const sent = performance.now()
    const lease = membership.lease()
    const unanswered = 500
    await expect.poll(() => performance.now() - sent, { timeout: 2_000 }).toBeGreaterThan(unanswered)
    expect(membership.lease()).toBe(lease)
    release.resolve()
    await expect.poll(() => membership.lease(), { timeout: 2_000, interval: 1 }).toBeGreaterThan(lease)
    expect(membership.lease()).toBeLessThanOrEqual(sent + SESSION)
    const transaction = membership.begin(assignment)
    transaction.offsets([{ ...at, offset: 1 }])
    await transaction.commit()
    await membership.leave()
  })
})
