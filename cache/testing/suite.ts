/** What every cache must do, and what its tests share. */
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Cache, Entry, Kind } from '../cache.ts'
import type { ReadThroughCache } from '../read-through.ts'

export const entry = (id: string, version: number, value: unknown, kind: Kind = 'venue'): Entry => ({
  kind,
  id,
  version,
  json: value === null ? null : JSON.stringify(value),
})

export function cacheSuite(name: string, make: () => Cache): void {
  describe(name, () => {
    let cache: Cache
    let prefix = ''
    beforeEach(() => {
      cache = make()
      prefix = randomUUID()
    })
    const get = async (id: string) => JSON.parse((await cache.get('venue', id)) ?? 'null')

    it('keeps the newest, whatever the order', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.put([entry(prefix, 4, 'four'), entry(prefix, 5, 'another five')])
      expect(await get(prefix)).toBe('five')
      await cache.put([entry(prefix, 6, 'six')])
      expect(await get(prefix)).toBe('six')
    })

    it('what was deleted does not come back by an older value', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.put([entry(prefix, 7, null)])
      await cache.put([entry(prefix, 6, 'six')])
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 8, 'eight')])
      expect(await get(prefix)).toBe('eight')
    })

    it('invalidated, it takes what is as new or newer, and nothing older', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.invalidate('venue', prefix)
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 4, 'four')])
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 5, 'five again')])
      expect(await get(prefix)).toBe('five again')
    })

    it('any order of writes is the newest of them', async () => {
      const write = fc.record({ id: fc.constantFrom('a', 'b'), version: fc.nat(9), deleted: fc.boolean() })
      await fc.assert(
        fc.asyncProperty(fc.array(write, { maxLength: 12 }), fc.uuid(), async (writes, run) => {
          const model = new Map<string, { version: number; deleted: boolean }>()
          for (const { id, version, deleted } of writes) {
            await cache.put([entry(run + id, version, deleted ? null : version)])
            const held = model.get(id)
            if (held === undefined || held.version < version || (held.version === version && held.deleted))
              model.set(id, { version, deleted })
          }
          for (const [id, { version, deleted }] of model) expect(await get(run + id)).toBe(deleted ? null : version)
        }),
        { numRuns: 60 },
      )
    })
  })
}

export async function readThrough(hot: ReadThroughCache, ...of: Parameters<ReadThroughCache['readText']>): Promise<unknown> {
  return JSON.parse((await hot.readText(...of)) ?? 'null')
}
