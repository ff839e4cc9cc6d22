/** The sinks of every store as a process of its own. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import { allTopics } from '../../topics/catalog.ts'
import { openKafkaLog } from '../../topics/kafka/log.ts'
import { logSettings } from './chaos.ts'
import { type Addresses, closePools, targets } from './targets.ts'

const { values } = parseArgs({
  options: { brokers: { type: 'string' }, prefix: { type: 'string' }, folder: { type: 'string' }, addresses: { type: 'string' } },
})
const { brokers, prefix, folder, addresses } = values as Record<string, string>
const instance = (folder as string).split('/').at(-1) as string
const log = await openKafkaLog({
  ...logSettings(brokers as string, prefix as string),
  folder: join(folder as string, 'members'),
  onError: (what, error) => console.error(instance, what, error instanceof Error ? error.message : error),
})
const codec = await Codec.open(new MemoryRegistry(), allTopics())
const started = await Promise.all(
  targets.map(target =>
    target.start(JSON.parse(addresses as string) as Addresses, { log, codec, instance, group: `chaos.${target.name}` }),
  ),
)
console.log('up')

process.on('SIGTERM', async () => {
  await Promise.all(started.map(({ close }) => close()))
  await log.close()
  await closePools()
  process.exit(0)
})
