/** What happens to processes and machines. */
import { anyMachine, type Fault, once } from './fault.ts'
import type { World } from '../world.ts'

function often(name: string, chance: number, most: number, what: (world: World) => void): Fault {
  return {
    name,
    chance,
    install: (world, strike) => {
      for (let n = 1 + world.scheduler.random.below(most); n > 0; n--)
        once(world, () => {
          strike()
          what(world)
        })
    },
  }
}

function crash(world: World, power: boolean): void {
  const machine = anyMachine(world)
  const { lives } = machine
  void machine.crash(power)
  world.scheduler.at(world.scheduler.random.below(15_000), null, () => {
    if (machine.lives === lives) machine.boot()
  })
}

export const processFaults: readonly Fault[] = [
  often('crash', 0.35, 2, world => crash(world, false)),
  often('power failure', 0.15, 2, world => crash(world, true)),
  often('stop and go on', 0.3, 2, world => {
    const { life } = anyMachine(world)
    life.paused = true
    world.scheduler.at(world.scheduler.random.below(25_000), null, () => {
      life.paused = false
    })
  }),
  often('cut off', 0.3, 2, world => {
    const { log } = anyMachine(world)
    log.cutOff = true
    world.scheduler.at(world.scheduler.random.below(25_000), null, () => {
      log.cutOff = false
    })
  }),
  often('rebalance', 0.3, 3, world => world.cluster.group.rebalance()),
  often('clock jumps', 0.25, 2, world => {
    const { random } = world.scheduler
    const ms = random.below(20_000) - 10_000
    if (random.chance(0.5)) world.cluster.skew = ms
    else anyMachine(world).skew = ms
  }),
  often('clean stop', 0.3, 2, world => anyMachine(world).restart(world.scheduler.random.below(5_000))),
]
