/** Servers for what is read; without one, the store runs inside. */
import { address, number, secret, section } from './setting.ts'

export const storeSettings = section('Stores', {
  databaseUrl: secret('DATABASE_URL', 'Postgres; without it one runs in DATA_DIR.'),
  redisUrl: address(
    'REDIS_URL',
    ['redis:', 'rediss:'],
    'Redis, for hot look-ups and shared rate limits; without it both are kept in the process.',
    { secret: true },
  ),
  clickhouseUrl: address('CLICKHOUSE_URL', ['http:', 'https:'], 'ClickHouse, for analytics; without it one runs in DATA_DIR.', {
    secret: true,
  }),
  messageRetentionDays: number(
    'MESSAGE_RETENTION_DAYS',
    null,
    1,
    36_500,
    'Days that Postgres keeps messages and the archive, then the rest of that month; for ever where it is not set.',
  ),
})
