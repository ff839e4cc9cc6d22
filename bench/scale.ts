/**
 * The whole service with many venues on one Soundtrack credential:
 *
 *   npm run bench -- scale --venues 10000 --zones 25000 --tokens 50 --critical 100 --minutes 90 --speed 10
 *   npm run bench -- scale --minutes 10 --speed 1 --writing 50
 *
 * `every`: minutes between two lines of the table.
 * `writing`: so many messages a second, each of a stranger who names a venue and asks what plays there; nobody writes without it.
 * With a speed of 10 every time of the polls is a tenth, and the tokens come ten times as fast (at the provider, too): the same reads
 * in the same order, in less time. What is printed is in minutes and tokens of the speed 1.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type FakeCall, world } from '../connectors/soundtrack/fake.ts'
import type { ZonesRead } from '../schemas/types.ts'
import { type Service, startService, until } from '../test/service/harness.ts'
import { startProvider, write } from './turn.ts'
import { writtenSince } from './written.ts'

const OPTIONS = { venues: 10_000, zones: 25_000, tokens: 50, critical: 100, minutes: 90, speed: 10, writing: 0, every: 5 }
export type ScaleOptions = typeof OPTIONS

/** @throws for an option that there is not */
export function scaleOptions(args: readonly string[]): ScaleOptions {
  const names = Object.keys(OPTIONS) as (keyof ScaleOptions)[]
  const options = Object.fromEntries(names.map(name => [name, { type: 'string' as const, default: String(OPTIONS[name]) }]))
  const { values } = parseArgs({ args: [...args], options })
  return Object.fromEntries(names.map(name => [name, Number(values[name])])) as ScaleOptions
}

const MINUTE = 60_000
const READY_MS = 60_000

export async function benchScale(options: ScaleOptions, print: (line: string) => void): Promise<void> {
  const { venues, zones, tokens, critical, minutes, speed, writing, every } = options
  print(
    `${venues} venues with ${zones} zones, ${critical} of them critical, an account each, ${tokens} tokens/s; ${minutes} minutes at a speed of ${speed}, ${writing} messages/s`,
  )
  const plan = worldOf(venues, zones)
  const text = (n: number) => `Hi, this is Nok from ${plan.accounts[n % venues]?.name}, what is playing in the lobby?`
  const reads = new Reads(plan.accounts.map(a => a.id).slice(0, critical))
  const provider = await startProvider()
  const service = await startService({
    world: plan,
    sheet: sheetOf(plan.accounts, critical),
    env: {
      TIME_SCALE: String(speed),
      SOUNDTRACK_TOKENS_PER_SECOND: String(tokens * speed),
      WHATSAPP_API_URL: provider.url,
      LOG_LEVEL: 'error',
    },
    fakeSoundtrack: { refillPerSecond: tokens * speed, onCall: call => reads.add(call) },
  })
  try {
    await until(
      () => reads.count > 0,
      READY_MS,
      () => 'the first read',
    )
    const began = Date.now()
    const minute = () => ((Date.now() - began) * speed) / MINUTE
    let [allAt, from] = [Number.POSITIVE_INFINITY, written(service, 0)]
    print(
      'minute   read once   age, minutes: critical p50 / max   others p50 / p90 / max   tokens/s   RSS MB   replies p50 / p99 / max, ms',
    )
    for (let line = every; line <= minutes; line += every) {
      const before = { tokens: reads.tokens, at: minute() }
      const messages = Math.floor((writing * every * MINUTE) / speed / 1000)
      const replies =
        messages === 0
          ? null
          : write(`${service.url}/webhooks/whatsapp`, provider, { messages, perSecond: writing, warmUp: 0, text })
      while (minute() < line) {
        await sleep(50)
        if (reads.accounts < venues || allAt < Number.POSITIVE_INFINITY) continue
        allAt = minute()
        from = written(service, allAt)
      }
      const ages = reads.ages(began, speed)
      const { p50, p99, max } = (await replies) ?? {}
      const rate = (reads.tokens - before.tokens) / ((minute() - before.at) * 60)
      print(
        `${pad(line, 6)}   ${pad(reads.accounts, 9)}   ${pad(shown(ages.critical, 0.5, 1), 34)}   ${pad(shown(ages.others, 0.5, 0.9, 1), 23)}   ${pad(rate.toFixed(1), 8)}   ${pad(rss(service.pid), 6)}   ${[p50, p99, max].map(ms => ms?.toFixed(0) ?? '–').join(' / ')}`,
      )
    }
    const to = written(service, minute())
    await service.terminate()
    let limited = 0
    const found = await writtenSince(join(service.folder, 'data'), from.at, ({ type, value }) => {
      if (type === 'ZonesRead' && (value as ZonesRead).error === 'rate_limited') limited += 1
    })
    print(`every venue was read once after ${allAt.toFixed(1)} minutes (by arithmetic ${(reads.first / tokens / 60).toFixed(1)})`)
    print(`critical: never longer than ${reads.longest(speed).toFixed(1)} minutes between two reads`)
    const hours = (to.minute - from.minute) / 60
    if (hours > 0 && writing === 0) {
      const each = (n: number) => (n / venues / hours).toFixed(1)
      const all = [...found.records.values()].reduce((sum, n) => sum + n, 0)
      const topics = [...found.records].filter(([, n]) => n > venues / 100).map(([topic, n]) => `${topic} ${each(n)}`)
      print(
        `written from then on, a venue-hour: ${each(all)} records, ${each(to.bytes - from.bytes)} bytes of file (${topics.join(', ')})`,
      )
    }
    print(`reads refused by our own budget: ${limited}; by the provider: ${service.soundtrack.limited}`)
  } finally {
    await service.close()
    await provider.close()
  }
}

function worldOf(venues: number, zones: number) {
  const names = ['Lobby', 'Pool', 'Bar', 'Spa', 'Terrace', 'Gym']
  return world(
    Array.from({ length: venues }, (_, n) => {
      const count = Math.floor(((n + 1) * zones) / venues) - Math.floor((n * zones) / venues)
      const own = Array.from({ length: count }, (_, zone) => names[zone] ?? `Room ${zone}`)
      return { name: `House ${n}`, locations: [{ name: 'House', zones: own }] }
    }),
  )
}

function sheetOf(
  accounts: readonly { id: string; name: string; locations: readonly { zones: readonly unknown[] }[] }[],
  critical: number,
) {
  const rows = accounts.map(
    ({ id, name, locations }, n) =>
      `${n + 1},${name},Harbour Road ${n + 1},${id},${locations[0]?.zones.length},${n < critical ? 'critical' : 'normal'}`,
  )
  return `${['venue_id,venue_name,location,soundtrack_account_id,zone_count,priority_level', ...rows].join('\n')}\n`
}

/** What the provider was asked for. */
class Reads {
  readonly #critical: ReadonlySet<string>
  readonly #last = new Map<string, number>()
  #longest = 0
  count = 0
  tokens = 0
  /** Tokens that the first read of every account has taken. */
  first = 0

  constructor(critical: readonly string[]) {
    this.#critical = new Set(critical)
  }

  get accounts(): number {
    return this.#last.size
  }

  add({ operation, account, at, cost }: FakeCall): void {
    this.tokens += cost
    if (operation !== 'account' || account === undefined) return
    this.count += 1
    const before = this.#last.get(account)
    if (before === undefined) this.first += cost
    else if (this.#critical.has(account)) this.#longest = Math.max(this.#longest, at - before)
    this.#last.set(account, at)
  }

  longest(speed: number): number {
    return (this.#longest * speed) / MINUTE
  }

  /** Minutes since every account was last read; since the beginning for those that never were. */
  ages(began: number, speed: number): { critical: number[]; others: number[] } {
    const now = Date.now()
    const age = (at: number) => ((now - Math.max(began, at)) * speed) / MINUTE
    const [critical, others]: [number[], number[]] = [[], []]
    for (const [account, at] of this.#last) (this.#critical.has(account) ? critical : others).push(age(at))
    return { critical: critical.sort((a, b) => a - b), others: others.sort((a, b) => a - b) }
  }
}

interface Written {
  readonly minute: number
  /** Wall clock. */
  readonly at: number
  readonly bytes: number
}

function written(service: Service, minute: number): Written {
  const size = (name: string) => statSync(join(service.folder, 'data', name), { throwIfNoEntry: false })?.size ?? 0
  return { minute, at: Date.now(), bytes: size('log.sqlite') + size('log.sqlite-wal') }
}

function rss(pid: number): string {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
  return ((pages * 4096) / 1e6).toFixed(0)
}

function shown(sorted: readonly number[], ...shares: readonly number[]): string {
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
  return shares.map(share => at(share)?.toFixed(1) ?? '–').join(' / ')
}

const pad = (what: unknown, width: number) => String(what).padStart(width)
