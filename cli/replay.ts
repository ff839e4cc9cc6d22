import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { configFrom, environment } from '../config.ts'
import { messageOf } from '../engine/errors.ts'
import { replayPartition } from '../engine/replay.ts'
import { actorsOf, topicsOf } from '../service/actors.ts'
import { codeVersion } from '../service/code-version.ts'
import { openLog } from '../service/stores.ts'
import { Codec } from '../topics/codec.ts'
import { LogError } from '../topics/log.ts'
import { main, Wrong } from './command.ts'

/** Differences that are shown. */
const SHOWN = 50

async function replay({ topic, partition, key }: Asked): Promise<boolean> {
  const settings = configFrom(environment())
  const running = actorsOf(settings)
  const actors = running.map(({ actor }) => actor)
  const definition = actors.find(a => a.inbox.name === topic)
  if (definition === undefined)
    throw new Wrong(`no actor has the inbox "${topic}"; there are ${actors.map(a => a.inbox.name).join(', ')}`)
  if (settings.kafka === null && !existsSync(join(settings.dataDir, 'log.sqlite')))
    throw new Wrong(`there is no log in ${settings.dataDir}: name its folder in DATA_DIR`)
  const logger = pino({ level: settings.logLevel }, pino.destination({ dest: 2, sync: true }))
  const topics = topicsOf(running)
  const onError = (what: string, error: unknown) => logger.error({ err: error }, what)
  const { log, registry } = await openLog(settings, topics, logger, { onError })
  try {
    const ends = await log.ends(topic)
    if (!ends.some(e => e.partition === partition))
      throw new Wrong(`${topic} has no partition ${partition}; it has ${ends.map(e => e.partition).join(', ')}`)
    const codec = await Codec.open(registry, topics)
    const { records, keys, low, position, differences } = await replayPartition({
      log,
      codec,
      definition,
      codeVersion: codeVersion(),
      partition,
      key,
    })
    console.log(`${topic}/${partition}: ${records} records of ${keys} keys handled, up to offset ${position}`)
    if (low > 0) console.log(`The inbox begins at ${low}: earlier history is taken from the changelog.`)
    for (const { key: of, offset, what, recorded, replayed } of differences.slice(0, SHOWN)) {
      console.log(
        `${of}${offset === null ? '' : ` at offset ${offset}`}: ${what}\n  recorded  ${recorded}\n  replayed  ${replayed}`,
      )
    }
    if (differences.length > SHOWN) console.log(`and ${differences.length - SHOWN} more`)
    console.log(differences.length === 0 ? 'equal' : `different: ${differences.length} of ${keys} keys`)
    return differences.length === 0
  } finally {
    await log.close()
  }
}

await main({
  name: 'npm run replay --',
  summary: 'Handles a partition of an inbox again, and compares the result with its changelog. Writes nothing.',
  options: {
    topic: { type: 'string', value: '<inbox>', doc: 'the inbox, such as venue.inbox' },
    partition: { type: 'string', value: '<number>', doc: 'its partition' },
    key: { type: 'string', value: '<key>', doc: 'one actor only' },
  },
  help: 'Exits with 0 where both are equal, with 1 where they differ. With a local log, stop the service first; on a cluster it may run.',
  check: values => void asked(values),
  run: async values => {
    try {
      return (await replay(asked(values))) ? 0 : 1
    } catch (error) {
      if (!(error instanceof LogError) || error.code !== 'locked') throw error
      throw new Wrong(`${messageOf(error)}\nStop the service first: it owns the log in its folder.`)
    }
  },
})

interface Asked {
  readonly topic: string
  readonly partition: number
  readonly key: string | undefined
}

/** @throws {Wrong} */
function asked({ topic, partition = '', key }: Readonly<Record<'topic' | 'partition' | 'key', string | undefined>>): Asked {
  if (topic === undefined || !/^\d{1,6}$/.test(partition))
    throw new Wrong('a topic and a partition are needed: npm run replay -- --topic <inbox> --partition <number> [--key <key>]')
  return { topic, partition: Number(partition), key }
}
