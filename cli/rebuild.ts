import { pino } from 'pino'
import { configFrom, environment } from '../config.ts'
import { openLog, openPostgres } from '../service/stores.ts'
import { rebuild } from '../sinks/postgres/rebuild.ts'
import { allTopics } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { main } from './command.ts'

await main({
  name: 'npm run rebuild --',
  summary: 'Makes the tables of Postgres again from the log. With a local log, stop the service first; on a cluster it may run.',
  options: {},
  check: () => void configFrom(environment()),
  run: async () => {
    const settings = configFrom(environment())
    const logger = pino({ level: settings.logLevel }, pino.destination({ dest: 2, sync: true }))
    const { log, registry } = await openLog(settings, allTopics(), logger, {
      onError: (what, error) => logger.error({ err: error }, what),
    })
    try {
      const codec = await Codec.open(registry, allTopics())
      const postgres = await openPostgres(settings, logger)
      try {
        const { rows, seconds } = await rebuild({
          log,
          codec,
          url: postgres.url,
          logger,
          keepDays: settings.messageRetentionDays,
        })
        for (const [table, made] of Object.entries(rows))
          console.log(`${table.padEnd(24)} ${made.toLocaleString('en').padStart(12)}`)
        console.log(`rebuilt in ${seconds.toFixed(1)} s`)
      } finally {
        await postgres.close()
      }
    } finally {
      await log.close()
    }
    return 0
  },
})
