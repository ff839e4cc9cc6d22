/** The client of Node, which this project has, with its own defaults; and a browser's requests. */
import { createClient } from '@clickhouse/client'
import type { Client } from './client.ts'

export const client: Client = {
  title: '@clickhouse/client: Node',
  needs: [],
  async run({ url, token }) {
    const said: string[] = []
    for (const response of [false, true]) {
      const node = createClient({ url, pathname: '/clickhouse', username: 'node', password: token, compression: { response } })
      try {
        const pinged = await node.ping()
        if (!pinged.success) throw pinged.error
        const result = await node.query({
          query: 'SELECT number AS n, toString(number) AS s FROM numbers({n:UInt32})',
          query_params: { n: 50_000 },
          format: 'JSONEachRow',
        })
        const rows = await result.json<{ n: string; s: string }>()
        if (rows.length !== 50_000 || rows[7]?.s !== '7') throw new Error(`${rows.length} rows, ${JSON.stringify(rows[7])}`)
        const tables = await (await node.query({ query: 'SHOW TABLES', format: 'JSONEachRow' })).json()
        said.push(`compression ${response}: ${rows.length} rows, ${tables.length} tables and views`)
      } finally {
        await node.close()
      }
    }
    return said.join('\n')
  },
}
