/** The service's log: lines as JSON, gathered for a moment, so that under load there is not a write for each. */
import { type Logger, pino } from 'pino'

/** What is gathered at most, characters, and for how long, ms. */
const GATHERED = 8 * 1024
const GATHERED_MS = 100
const WARNING = 40

export interface ServiceLog {
  readonly logger: Logger
  /** Writes what was gathered: to be called at the end. */
  flush(): void
}

/** @param dest a file descriptor or a path. A line of a warning or worse is written at once, with all before it. */
export function openLogger(level: string, dest: number | string = 2): ServiceLog {
  const destination = pino.destination({ dest, sync: true })
  let gathered = ''
  let timer: NodeJS.Timeout | null = null
  const flush = () => {
    clearTimeout(timer ?? undefined)
    timer = null
    const lines = gathered
    gathered = ''
    if (lines !== '') destination.write(lines)
  }
  const write = (line: string) => {
    gathered += line
    if (gathered.length >= GATHERED) flush()
    else timer ??= setTimeout(flush, GATHERED_MS).unref()
  }
  const hooks: pino.LoggerOptions['hooks'] = {
    logMethod(args, method, at) {
      method.apply(this, args)
      if (at >= WARNING) flush()
    },
  }
  return { logger: pino({ level, hooks }, { write }), flush }
}
