/** Starts the service: `npm start`. With nothing configured, everything runs in this process on one folder, with the demo world. */
import { join } from 'node:path'
import { pino } from 'pino'
import { main } from './cli/command.ts'
import { ConfigError, configFrom, environment } from './config.ts'
import { Ending } from './service/ending.ts'
import { serviceOf } from './service/service.ts'

async function start(): Promise<void> {
  // Whatever this process and its children make is for their user alone.
  process.umask(0o077)
  const began = performance.now()
  // Whatever the level of the log: why a process ends is said.
  const logger = pino({ level: 'fatal' }, pino.destination({ dest: 2, sync: true }))
  const say = (why: string, error?: unknown) => {
    if (error === undefined) process.stderr.write(`${why}\n`)
    else logger.fatal({ err: error }, why)
  }
  const settings = configFrom(environment())
  const service = serviceOf(settings, (what, error) => ending.failed(what, error))
  const ending = new Ending({ stop: partMs => service.stop(partMs), say })
  ending.listen()
  const url = await service.start().catch(error => {
    if (!ending.begun) throw error
    return null // what is being stopped does not start
  })
  if (url === null) return
  const token =
    settings.adminToken === null && settings.roles.includes('api')
      ? `   API token in ${join(settings.dataDir, 'admin.token')}\n`
      : ''
  const docs = settings.roles.includes('api') ? `   API described at ${new URL('/docs', url)}\n` : ''
  process.stdout.write(
    `\nBMA Social is at ${url} (up in ${((performance.now() - began) / 1000).toFixed(1)} s)\n${docs}${token}\n`,
  )
}

if (import.meta.main)
  await main({
    name: 'npm start --',
    summary: 'The service, until it is ended; the demo where nothing is configured. docs/SETTINGS.md has the settings.',
    options: {},
    check: (_, __, only) => {
      if (only) configFrom(environment())
    },
    run: async () => {
      try {
        await start()
        return 0
      } catch (error) {
        process.stderr.write(`${whyNot(error)}\n`)
        process.exit(1)
      }
    },
  })

/** Why the service does not start: what its operator can mend in words, all else with where it happened. */
function whyNot(error: unknown): string {
  if (error instanceof ConfigError) return error.message
  const { syscall, code, address, port, stack } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  if (syscall !== 'listen') return String(stack ?? error)
  const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be listened at (${code})`
  return `${address}:${port} ${why}: set HOST and PORT`
}
