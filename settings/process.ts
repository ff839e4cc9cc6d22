/** The process: where it listens, what it runs, where it keeps its data. */
import { number, oneOf, optionalFlag, section, text } from './setting.ts'

export const ROLES = ['api', 'processors', 'connectors', 'sinks'] as const
export type Role = (typeof ROLES)[number]

export const processSettings = section('Process', {
  port: number('PORT', 3000, 0, 65_535, 'Port of the API; 0 for any that is free.'),
  ownPort: number('OWN_PORT', null, 1, 65_535, 'Port of this process alone, where several share PORT.'),
  host: text('HOST', 'Address to listen on.', { default: '127.0.0.1' }),
  dataDir: text('DATA_DIR', 'Folder that holds everything the process keeps.', { default: './data' }),
  roles: text('ROLES', `What this process runs, separated by commas: ${ROLES.join(', ')}.`, { default: ROLES.join(',') }),
  logLevel: oneOf(
    'LOG_LEVEL',
    'info',
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'Least severe lines that are logged.',
  ),
  cacheMb: number('CACHE_MB', 64, 1, 65_536, 'Memory for decoded actors, MB, over all workers of the process.'),
  demo: optionalFlag('DEMO', 'On or off: the demo world. On by default while no channel is configured.'),
  nodeEnv: text('NODE_ENV', 'production: neither the demo nor TIME_SCALE runs.'),
  timeScale: number('TIME_SCALE', 1, 1, 100_000, 'Divides timers, deadlines and breaker times: for demos and tests.'),
})
