/** What workers need besides the log is away: the schema registry; the disk of their state is full. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PARTITIONS } from '../actor.ts'
import type { Outage } from '../registry.ts'
import type { Fault, World } from './fault.ts'

const WAYS: readonly Outage[] = ['refuses', 'hangs', 'fails', 'missing']

export function registryFaults({ registry, newer, load }: World): Fault[] {
  return WAYS.map(
    (how): Fault => ({
      kind: 'registry away',
      name: `registry ${how}`,
      needs: ['registry'],
      needsProgress: true,
      inject: async ({ random, affects, hit, say }) => {
        const partition = random.below(PARTITIONS)
        const ms = 500 + random.below(6_000)
        const { id, encode } = await newer.version()
        affects(new Set([partition]))
        const before = registry.hits
        const back = await registry.fail(how, id)
        say(`schema ${id} on partition ${partition}, ${ms} ms`)
        load.newer = { partition, encode }
        await sleep(ms)
        await back()
        // On its own port, a refusal leaves no trace: nobody could have read the schema.
        hit(how === 'refuses' ? 1 : registry.hits - before)
        await sleep(500)
        load.newer = null
      },
    }),
  )
}

export function diskFaults({ fleet, disk, machines: [, machine], load }: World): Fault[] {
  if (disk === null) return []
  const fault = (name: string, meanwhile: () => Promise<void>): Fault => ({
    kind: 'disk full',
    name,
    needsProgress: true,
    needs: ['disk', ...(name === 'disk full' ? [] : ['processes'])],
    inject: async ({ random, hit, say }) => {
      const ms = 500 + random.below(5_000)
      const bytes = disk.fill()
      hit(bytes)
      say(`${Math.round(bytes / 1024)} KB taken, ${ms} ms`)
      // State that grows: what is written over needs no room.
      load.fresh = `fresh-${random.below(1_000_000)}`
      try {
        await meanwhile()
        await sleep(ms)
      } finally {
        load.fresh = null
        disk.free()
      }
    },
  })
  return [
    fault('disk full', async () => {}),
    fault('disk full, and started anew on it', async () => {
      await sleep(500)
      await fleet.kill(machine)
      fleet.boot(machine)
    }),
  ]
}
