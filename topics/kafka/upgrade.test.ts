/** A cluster that agrees on the newer way of transactions, and back, while a producer lives. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { append, codeOf, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { type Broker, startBroker } from '../../test/stack/stack.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { KafkaClient } from './client.ts'
import { throwIfError } from './errors.ts'
import type { Call } from './hardening.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { call, Writer } from './wire.ts'
import { transactionVersion } from './transaction-protocol.ts'

vi.setConfig({ testTimeout: 60_000 })

await describeWithStack('a cluster that is upgraded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'upgrade-'))
  const outputs = newTopic({ partitions: 2 })
  const nobody = { group: 'nobody', member: '', generation: -1 }
  let broker: Broker
  let log: KafkaLog
  let client: KafkaClient

  beforeAll(async () => {
    broker = await startBroker({ folder, features: { 'transaction.version': 1 } })
    const kafka = { brokers: [broker.address] }
    log = await openKafkaLog({ kafka, topics: [outputs] })
    client = new KafkaClient(kafka)
    await client.track([outputs.name])
  })
  afterAll(async () => {
    await client?.close()
    await log?.close()
    await broker?.server.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  const open = () =>
    Producer.open({ client, transactionalId: 'worker', transactionTimeout: 10_000, compression: 'none', version: null })

  async function agreeOn(level: number): Promise<void> {
    throwIfError(await client.onAnyBroker(b => client.send(b, updateFeature('transaction.version', level))))
    await expect.poll(() => client.onAnyBroker(b => client.send(b, transactionVersion()))).toBe(level)
  }

  it('lets a producer continue with its version, and gives the next one the new version', async () => {
    let written = 0
    const commit = (producer: Producer) => {
      const outbox = new Outbox(() => 2)
      for (const partition of [0, 1]) outbox.add(append(outputs, 'k', `${written}`, { partition }))
      written++
      return producer.commit(outbox, [{ topic: outputs.name, partition: 0, offset: written }], nobody)
    }
    const older = await open()
    expect(older.version).toBe(1)
    for (let n = 0; n < 3; n++) await commit(older)
    await agreeOn(2)
    for (let n = 0; n < 3; n++) await commit(older)
    const newer = await open()
    expect(newer.version).toBe(2)
    for (let n = 0; n < 3; n++) await commit(newer)
    // And back, as when an upgrade is called off.
    await agreeOn(1)
    for (let n = 0; n < 3; n++) await commit(newer)
    const again = await open()
    expect(again.version).toBe(1)
    for (let n = 0; n < 3; n++) await commit(again)
    const expected = Array.from({ length: written }, (_, n) => `${n}`)
    for (const partition of [0, 1]) expect(texts(await readAll(log, outputs, partition))).toEqual(expected)
    await expect.poll(() => log.groupOffsets('nobody')).toEqual([{ topic: outputs.name, partition: 0, offset: written }])
    // Those from before the last are fenced, whichever way they went.
    for (const producer of [older, newer]) expect(await codeOf(commit(producer))).toBe('fenced')
  })
})

/** UpdateFeatures, version 1, as `kafka-features.sh` sends it; the code of the answer. */
function updateFeature(name: string, level: number): Call<number> {
  const [upgrade, safeDowngrade] = [1, 2]
  return call(
    { apiKey: 57, apiVersion: 1, apiName: 'UpdateFeatures' },
    () => {
      const w = new Writer().noTags().int32(10_000)
      w.compactArray([name], feature => {
        w.compactText(feature)
          .int16(level)
          .int8(level === 1 ? safeDowngrade : upgrade)
      })
      return w.int8(0).noTags()
    },
    r => {
      r.tags()
      r.int32() // throttle time
      return r.int16()
    },
  )
}
