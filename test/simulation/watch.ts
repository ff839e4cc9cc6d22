/**
 * What must hold all the time: whoever makes no progress says so, and nobody recovers so often that it does nothing else. Looked
 * at once a second.
 */
import { partitionKey } from '../../topics/log.ts'
import type { Machine } from './machine/machine.ts'
import { split } from './cluster/group.ts'
import type { World } from './world.ts'

const LOOKS = 1_000
/** A worker may be silent about what lies unread for so many looks. */
const SILENT_LOOKS = 10
/** A cycle this old speaks for itself, ms. */
const OLD_CYCLE = 3_000
/** Over this many looks, a worker restores or begins transactions at most so often. */
const WINDOW = 30
const MOST_RESTORES = 120
const MOST_TRANSACTIONS = 400
const MOST_ERRORS = 600

interface Watched {
  life: string
  readonly silent: Map<string, { position: number; looks: number }>
  readonly asked: { restores: number; transactions: number; errors: number }[]
}

export function watch(world: World): void {
  const watched = new Map<Machine, Watched>()
  const look = () => {
    world.scheduler.at(LOOKS, null, look)
    for (const machine of world.machines) {
      let seen = watched.get(machine)
      if (seen === undefined || seen.life !== machine.life.name) {
        seen = { life: machine.life.name, silent: new Map(), asked: [] }
        watched.set(machine, seen)
      }
      checkSilence(world, machine, seen)
      checkSpin(world, machine, seen)
    }
  }
  look()
}

function checkSilence(world: World, { worker, life, log }: Machine, { silent }: Watched): void {
  const { cluster } = world
  if (worker === null || life.dead || life.paused || log.cutOff) {
    silent.clear()
    return
  }
  const status = worker.status()
  if (!status.assigned || status.failing !== null || status.cycleAgeMs > OLD_CYCLE) {
    silent.clear()
    return
  }
  for (const key of cluster.group.inputs) {
    const at = split(key)
    const position = cluster.committed(at) ?? 0
    const { stable, records } = cluster.partition(at)
    const unread = records.some(r => r.offset >= position && r.offset < stable)
    const task = status.tasks.find(t => partitionKey(t) === key)
    const says = task === undefined || task.state !== 'RUNNING' || task.stopped !== null || task.waits !== null
    if (cluster.group.owner(at) !== life || !unread || says || silent.get(key)?.position !== position) {
      silent.set(key, { position, looks: 0 })
      continue
    }
    const looks = (silent.get(key)?.looks ?? 0) + 1
    silent.set(key, { position, looks })
    if (looks === SILENT_LOOKS && world.settings.verbose)
      console.log(world.scheduler.time, JSON.stringify(status), position, stable)
    if (looks === SILENT_LOOKS)
      world.violations.push(`${life.name} stands still at ${position} of ${key}, and says nothing of it`)
  }
}

function checkSpin(world: World, { life, log, errors }: Machine, { asked }: Watched): void {
  const told = [...errors.values()].reduce((sum, count) => sum + count, 0)
  asked.push({ ...log.asked, errors: told })
  if (asked.length <= WINDOW) return
  const before = asked.shift() as (typeof asked)[number]
  const restores = log.asked.restores - before.restores
  const transactions = log.asked.transactions - before.transactions
  world.busiest.restores = Math.max(world.busiest.restores, restores)
  world.busiest.transactions = Math.max(world.busiest.transactions, transactions)
  world.busiest.errors = Math.max(world.busiest.errors, told - before.errors)
  if (restores > MOST_RESTORES) world.violations.push(`${life.name} restores ${restores} times in ${WINDOW} s`)
  if (transactions > MOST_TRANSACTIONS) world.violations.push(`${life.name} begins ${transactions} transactions in ${WINDOW} s`)
  if (told - before.errors > MOST_ERRORS)
    world.violations.push(`${life.name} reports ${told - before.errors} errors in ${WINDOW} s`)
}
