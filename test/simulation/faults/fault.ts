/** A kind of fault: how many of the seeds have it, and what it does to the world of such a seed. */
import type { Machine } from '../machine/machine.ts'
import type { World } from '../world.ts'

export interface Fault {
  readonly name: string
  /** Share of the seeds. */
  readonly chance: number
  /** Called before anything runs: it schedules what goes wrong. `strike` counts it. */
  readonly install: (world: World, strike: () => void) => void
}

/** At some time, for a while: `on`, and `off` at the end of it or when everything is healed. */
export function forAWhile(world: World, most: number, on: () => (() => void) | null): void {
  const { scheduler } = world
  const { random } = scheduler
  scheduler.at(random.below(world.settings.faultyMs - 10_000), null, () => {
    if (!world.trouble.on) return
    const undo = on()
    if (undo === null) return
    let over = false
    const off = () => {
      if (!over) undo()
      over = true
    }
    world.healing.push(off)
    scheduler.at(1 + random.below(most), null, off)
  })
}

/** At some time while there is trouble. */
export function once(world: World, what: () => void): void {
  const { scheduler } = world
  scheduler.at(scheduler.random.below(world.settings.faultyMs), null, () => {
    if (world.trouble.on) what()
  })
}

export function anyMachine({ scheduler, machines }: World): Machine {
  return scheduler.random.pick(machines)
}
