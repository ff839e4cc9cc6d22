import type { Topic } from '../../topics/catalog.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { logConformance, type Opened } from './log.ts'

const brokers = (process.env.KAFKA_BROKERS ?? '').split(',')

async function opened(topics: readonly Topic[]): Promise<Opened> {
  const log = await openKafkaLog({ kafka: { brokers, onError: console.error }, topics, onError: (w, e) => console.error(w, e) })
  return {
    log,
    reopen: async () => {
      await log.close()
      return opened(topics)
    },
    close: () => log.close(),
  }
}

logConformance('Kafka', opened, { membership: true, restart: true, cleaning: false, registry: false })
