/**
 * A process with state stores, for the tests that kill it or fill its disk. Tells in JSON, a line each.
 *
 *   note <folder> <attempt>…    opens, notes, says its id, and lives until it is killed
 *   write <folder>              writes and says how often, until it is killed
 *   fill <folder> <fate>        writes until the disk is full; <fate> "room" makes room and goes on, "close" closes at once
 */
import { execFileSync } from 'node:child_process'
import { LmdbStores } from '../lmdb.ts'
import type { StoreBatch } from '../store.ts'

const [what, folder = '', ...rest] = process.argv.slice(2)
const tell = (told: unknown) => process.stdout.write(`${JSON.stringify(told)}\n`)

const stores = LmdbStores.open(folder)
const store = stores.store('actor', 0)
process.on('unhandledRejection', error => tell({ unheard: String(error) }))
process.on('uncaughtException', error => tell({ unheard: String(error) }))

if (what === 'note') {
  for (const attempt of rest) store.markSent(attempt)
  tell({ id: store.id })
  setInterval(() => {}, 60_000)
} else {
  const batch = (n: number): StoreBatch => ({
    changes: Array.from({ length: 10 }, (_, i) => ({
      key: `${n}/${i}`,
      before: null,
      after: null,
      bytes: Buffer.alloc(3_000, n),
    })),
    inputs: new Map(),
    schemas: new Map(),
    checkpoint: { changelog: n, position: n, logId: 'log', at: 1, stop: null },
  })
  const refusal = (work: Promise<void>) =>
    work.then(
      () => null,
      error => ({ name: error.name, code: error.code, message: error.message }),
    )
  let n = 0
  while (what === 'write') {
    await store.write(batch(++n))
    tell(n)
  }
  const other = stores.store('actor', 1)
  let refused: unknown = null
  while (refused === null) refused = await refusal(store.write(batch(++n)))
  const together = await Promise.all([store.write(batch(n)), other.write(batch(n)), store.write(batch(n + 1))].map(refusal))
  tell({ refused, together: together.filter(r => r !== null).length, last: n - 1, checkpoint: store.checkpoint()?.changelog })
  tell({
    whole: [0, 9].map(i => store.get(`${n - 1}/${i}`)?.length),
    half: [0, 9].map(i => store.get(`${n}/${i}`)),
    other: other.checkpoint(),
  })
  if (rest[0] === 'room') {
    execFileSync('mount', ['-o', 'remount,size=20m', folder])
    await Promise.all([store.write(batch(n)), other.write(batch(1))])
    tell({ again: [store.checkpoint()?.changelog, store.get(`${n}/9`)?.length, other.checkpoint()?.changelog] })
    await store.wipe()
    tell({ wiped: [store.checkpoint(), store.get('1/1')] })
  }
  await stores.close()
  const reopened = LmdbStores.open(folder)
  tell({ id: reopened.store('actor', 0).id === store.id, reopened: reopened.store('actor', 0).checkpoint()?.changelog ?? null })
  await reopened.close()
  tell('closed')
}
