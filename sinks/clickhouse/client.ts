import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'

/**
 * A client of a ClickHouse server, or of the embedded one.
 * @param url with user, password and, as its path, the database
 */
export function clickHouseClient(url: string): ClickHouseClient {
  return createClient({
    url,
    application: 'bma-social',
    request_timeout: 30_000,
    max_open_connections: 8,
    // Failures are thrown, and logged where they are caught.
    log: { level: ClickHouseLogLevel.OFF },
  })
}

export async function selectRows<T>(client: ClickHouseClient, query: string): Promise<T[]> {
  return (await client.query({ query, format: 'JSONEachRow' })).json<T>()
}
