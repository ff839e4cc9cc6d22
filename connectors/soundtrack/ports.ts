/** Does the effects of the Soundtrack actor with a client. */
import { MaybeDone, NotDone, SendRefused, type Port, type Ports, type Run } from '../../engine/actor.ts'
import type { ReadZones, ZoneReadingInput, ZonesReadInput } from '../../schemas/types.ts'
import { neverSent } from '../call-errors.ts'
import { RENEW } from './account.ts'
import type { soundtrackActor } from './actor.ts'
import type { Granted, SoundtrackClient } from './client.ts'
import { failureOf, whyGivenUp } from './failures.ts'
import { Schedule } from './schedule.ts'
import type { Reading } from './turns.ts'
import { SOUNDTRACK_SETTINGS, type SoundtrackSettings } from './polling.ts'

/** Zones in one part of a result: at some 500 bytes each, half of what a record may hold. */
const ZONES_IN_PART = 500
/** Of 3,600. */
const LOW_TOKENS = 60

export function soundtrackPorts(
  client: SoundtrackClient,
  { settings = SOUNDTRACK_SETTINGS, now = Date.now }: { settings?: SoundtrackSettings; now?: () => number } = {},
): Ports<ReturnType<typeof soundtrackActor>> {
  const schedule = new Schedule({ budget: client.budget, settings, now })

  const read: Port<'ReadZones', 'ZonesRead'> = async (request, run) => {
    const { account, zone } = request
    try {
      if (zone === null) return await readAll(request, run)
      const zones = [await client.readZone(zone, run)]
      schedule.zoneTold(account)
      return { account, zone, zones, asOf: now() }
    } catch (error) {
      // A failed read is reported, too.
      schedule.zoneTold(account)
      return { ...unread(request, error, now()), sameAsOf: schedule.sameAsOf(account) }
    }
  }

  const readAll = async (request: ReadZones, run: Run, granted?: Granted): Promise<ZonesReadInput[]> => {
    const { zones, total } = await client.readZones(request, run, granted)
    const asOf = now()
    return parts(zones).map(part => ({ account: request.account, zones: part, total, asOf }))
  }

  /** Waits its turn. What says nothing new is no result: it waits for its next turn. */
  const poll: Port<'ReadZones', 'ZonesRead'> = async (request, run) => {
    const { account } = request
    const turn = await schedule.turn(request, run.signal)
    if (turn === 'renew') return { account, error: RENEW, asOf: now() }
    if (turn === 'limited') return failed(account, 'rate_limited')
    try {
      return (await polled(request, run, turn)) ?? nothingNew()
    } finally {
      turn.end()
    }
  }

  async function polled(request: ReadZones, run: Run, turn: Reading) {
    try {
      const read = await readAll({ ...request, full: turn.detail === 'all' }, run, turn)
      return turn.read(
        read.flatMap(part => part.zones ?? []),
        read[0]?.asOf ?? now(),
      )
        ? read
        : null
    } catch (error) {
      // The caller has given up and will ask again: the result of this attempt is not needed.
      if (run.signal.aborted) throw error
      const { reason } = failureOf(error)
      return turn.failed(reason) ? failed(request.account, reason) : null
    }
  }

  const failed = (account: string, error: string): ZonesReadInput => {
    return { account, error, asOf: now(), sameAsOf: schedule.sameAsOf(account) }
  }

  const hasten: Port<'PollSooner', 'ZonesRead'> = async ({ account, reason }) => {
    schedule.ask(account, reason)
    return { account, zone: '', asOf: now() }
  }

  const control: Port<'ZoneCommand', 'CommandDone'> = async (command, run) => {
    let left = false
    const beforeSend = () => {
      run.beforeSend()
      left = true
    }
    try {
      await client.command(command, { ...run, beforeSend })
      return { command: command.id, accepted: true, at: now() }
    } catch (error) {
      if (error instanceof SendRefused) {
        const late = outOfTokens(error, client.tokens)
        // What left before was refused for want of tokens: surely nothing was done.
        throw left ? new NotDone(late.message, { cause: error, code: late.code }) : late
      }
      if (neverSent(error) || error instanceof NotDone) throw notDone(error)
      const { reason, uncertain, detail } = failureOf(error)
      // The provider itself says that it failed: what may be done twice is tried again, as long as it is wanted.
      if (reason === 'provider_down' && command.kind !== 'SKIP') {
        const { code, words } = whyGivenUp(error)
        throw new MaybeDone(words, { cause: error, code })
      }
      return { command: command.id, accepted: false, uncertain, reason, detail: detail.slice(0, 500), at: now() }
    }
  }

  return { read, poll, hasten, control, skip: control }
}

/** Waits for the next turn. @throws what the worker takes for: again, at once */
function nothingNew(): never {
  throw new NotDone('nothing new', { retryAfterMs: 1 })
}

/** A failed read is a result too. One zone that is not ours is not a failure of the provider. */
function unread({ account, zone }: ReadZones, error: unknown, asOf: number): ZonesReadInput {
  const { reason, detail } = failureOf(error)
  if (zone === null || !OF_THE_ZONE.includes(reason)) return { account, zone, error: reason, asOf }
  return { account, zone, zones: [{ zone, name: '', error: detail.slice(0, 200) }], asOf }
}

const OF_THE_ZONE: readonly string[] = ['forbidden', 'permission', 'invalid']

/** Cut between locations, so that the zones of one are in one part; only a location larger than a part is cut itself. */
function parts(zones: readonly ZoneReadingInput[]): ZoneReadingInput[][] {
  if (zones.length <= ZONES_IN_PART) return [[...zones]]
  const made: ZoneReadingInput[][] = []
  for (const group of Map.groupBy(zones, z => z.location ?? null).values()) {
    for (let at = 0; at < group.length; at += ZONES_IN_PART) {
      const piece = group.slice(at, at + ZONES_IN_PART)
      const last = made.at(-1)
      if (last !== undefined && last.length + piece.length <= ZONES_IN_PART) last.push(...piece)
      else made.push(piece)
    }
  }
  return made
}

/** What expired while it waited for tokens says so: a bucket this low is one that was waited for. */
function outOfTokens(error: SendRefused, tokens: number): SendRefused {
  if (error.outcome !== 'EXPIRED' || tokens >= LOW_TOKENS) return error
  return new SendRefused('EXPIRED', `rate_limited: ${error.message}`, { code: 'rate_limited' })
}

/** Certainly not done, and why: reported if no later try succeeds in time. */
function notDone(error: unknown): NotDone {
  const retryAfterMs = error instanceof NotDone ? error.retryAfterMs : undefined
  const { code, words } = whyGivenUp(error)
  return new NotDone(words, { cause: error, code, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
}
