import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Topic } from '../../topics/catalog.ts'
import { kafkaOf } from '../../topics/kafka/settings.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { ConfluentRegistry } from '../../topics/kafka/registry.ts'
import type { TransactionVersion } from '../../topics/kafka/transaction-protocol.ts'
import { describeWithStack } from '../stack/vitest.ts'
import { logConformance, type Opened } from './log.ts'

await describeWithStack('a real broker', ({ KAFKA_BROKERS, SCHEMA_REGISTRY_URL }) => {
  async function openIn(folder: string, topics: readonly Topic[], transactionVersion: TransactionVersion): Promise<Opened> {
    const errors: unknown[] = []
    const kafka = { brokers: KAFKA_BROKERS.split(',') }
    const log = await openKafkaLog({
      kafka,
      topics,
      folder,
      compression: 'zstd',
      transactionVersion,
      onError: (what, error) => errors.push(what, error),
    })
    return {
      log,
      registry: new ConfluentRegistry(SCHEMA_REGISTRY_URL),
      reopen: async () => {
        await log.close()
        return openIn(folder, topics, transactionVersion)
      },
      expire: async ({ name, partitions }) => {
        const admin = kafkaOf(kafka).admin()
        await admin.connect()
        try {
          await admin.fetchTopicOffsets(name) // makes it known to the client
          const everything = Array.from({ length: partitions }, (_, partition) => ({ partition, offset: '-1' }))
          await admin.deleteTopicRecords({ topic: name, partitions: everything })
        } finally {
          await admin.disconnect()
        }
      },
      close: async () => {
        await log.close()
        rmSync(folder, { recursive: true, force: true })
        if (errors.length > 0) throw new Error(`the log has told of errors: ${errors.map(String).join('; ')}`)
      },
    }
  }

  const features = { membership: true, restart: true, cleaning: false, expiring: true, damaging: false, registry: true }
  for (const version of [1, 2] as const) {
    const open = (topics: readonly Topic[]) => openIn(mkdtempSync(join(tmpdir(), 'kafka-log-')), topics, version)
    logConformance(`Kafka, transactions of version ${version}`, open, features)
  }
})
