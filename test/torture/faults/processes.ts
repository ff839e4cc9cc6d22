/** Processes and brokers that are killed, stopped, started; a group that is in turmoil. */
import { truncateSync } from 'node:fs'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { kafkaOf } from '../../../topics/kafka/settings.ts'
import type { Random } from '../../simulation/scheduler.ts'
import { GROUP } from '../actor.ts'
import type { Fault, World } from './fault.ts'

const SESSION_MS = 2_000

export function processFaults({ broker, fleet, log, machines, proxy }: World): Fault[] {
  const needs = ['processes']
  /** Another member comes, and goes. */
  const visit = async (random: Random, stay: number) => {
    const before = fleet.generation
    const guest = fleet.add(`guest-${random.below(1_000_000)}`)
    await fleet.nextGeneration(before, 15_000)
    await sleep(stay)
    await (random.chance(0.5) ? fleet.stop(guest) : fleet.kill(guest))
  }
  return [
    {
      kind: 'process killed',
      name: 'kill -9',
      needs,
      inject: async ({ random }) => {
        const machine = random.pick(machines)
        await fleet.kill(machine)
        await sleep(random.below(1_500))
        fleet.boot(machine)
      },
    },
    {
      kind: 'process killed',
      name: 'kill -9 of all',
      needs,
      inject: async () => {
        await Promise.all(machines.map(m => fleet.kill(m)))
        for (const machine of machines) fleet.boot(machine)
      },
    },
    {
      kind: 'power failure',
      name: 'power failure',
      needs,
      inject: async ({ random }) => {
        const machine = random.pick(machines)
        await fleet.kill(machine)
        machine.boots++
        loseTail(join(fleet.folder(machine.name), 'state', 'left'), random)
        await sleep(random.below(1_500))
        fleet.boot(machine)
      },
    },
    {
      kind: 'process stopped',
      name: 'stopped past its session, then goes on',
      needs,
      inject: async ({ random }) => {
        const machine = random.pick(machines)
        fleet.signal(machine, 'SIGSTOP')
        await sleep(SESSION_MS + 500 + random.below(2_000))
        fleet.signal(machine, 'SIGCONT')
      },
    },
    {
      kind: 'process stopped',
      name: 'stopped, and goes on in time',
      needs,
      inject: async ({ random }) => {
        const machine = random.pick(machines)
        fleet.signal(machine, 'SIGSTOP')
        await sleep(random.below(SESSION_MS))
        fleet.signal(machine, 'SIGCONT')
      },
    },
    {
      kind: 'process stopped',
      name: 'away for a generation, and back',
      needs,
      inject: async ({ random }) => {
        const machine = random.pick(machines)
        const before = fleet.generation
        fleet.signal(machine, 'SIGSTOP')
        await fleet.nextGeneration(before, 8_000)
        fleet.signal(machine, 'SIGCONT')
        await fleet.nextGeneration(before + 1, 8_000)
      },
    },
    {
      kind: 'broker',
      name: 'broker killed',
      needs: ['broker'],
      inject: async ({ random }) => {
        await broker.server.kill()
        await sleep(random.below(1_000))
        await broker.server.start()
      },
    },
    {
      kind: 'broker',
      name: 'broker restarted',
      needs: ['broker'],
      inject: async () => {
        await broker.server.stop()
        await broker.server.start()
      },
    },
    { kind: 'rebalance', name: 'rebalance', needs, inject: ({ random }) => visit(random, random.below(1_000)) },
    {
      kind: 'rebalance',
      name: 'storm of rebalances',
      needs,
      inject: async ({ random }) => {
        await Promise.all([visit(random, 0), visit(random, 300), visit(random, 600)])
      },
    },
    {
      kind: 'rebalance',
      name: 'rejoin between the sends and the offsets',
      needs,
      inject: async ({ random }) => {
        const before = fleet.generation
        const released = Promise.withResolvers<void>()
        await Promise.race([proxy.hold('TxnOffsetCommit', released.promise), sleep(3_000)])
        const visiting = visit(random, 200)
        await fleet.nextGeneration(before, 8_000)
        released.resolve()
        await visiting
      },
    },
    {
      kind: 'rebalance',
      name: 'group offsets expired',
      needs: [...needs, 'broker'],
      inject: async () => {
        await Promise.all(machines.map(m => fleet.stop(m)))
        const admin = kafkaOf({ brokers: [broker.address] }).admin()
        await admin.connect()
        // A member that was killed keeps the group alive until its session ends.
        for (let tries = 0; tries < 20 && (await log.groups()).includes(GROUP); tries++) {
          await admin.deleteGroups([GROUP]).catch(() => sleep(300))
        }
        await admin.disconnect()
        for (const machine of machines) fleet.boot(machine)
      },
    },
  ]
}

/** What was written last had not reached the disk. */
function loseTail(file: string, random: Random): void {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size > 0) truncateSync(file, random.below(size))
}
