/**
 * Positions of a connection as the id of an event. It is signed, and valid only for the principal it was issued to, with the same role
 * and scope: after any change the positions might skip events that were not visible before.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { type Principal, principalKey } from '../access/principal.ts'
import { type Feed, KEPT_RECORDS } from './feed.ts'
import { SOURCES } from './sources.ts'

export class Bookmarks {
  readonly #feed: Feed
  readonly #key: KeyObject
  readonly #holder: string

  constructor(feed: Feed, key: KeyObject, principal: Principal) {
    this.#feed = feed
    this.#key = key
    const { regions, venues } = principal.scope
    this.#holder = JSON.stringify([principalKey(principal), principal.role, regions, venues])
  }

  /** @param positions in the order of the followed partitions; the id lists them by topic and partition */
  idOf(positions: readonly number[]): string {
    const { followed } = this.#feed
    const byTopic = SOURCES.map(({ topic: { name } }) =>
      followed.flatMap(({ at }, n) => (at.topic === name ? [{ partition: at.partition, position: positions[n] as number }] : [])),
    )
    const ordered = byTopic.map(of => of.sort((a, b) => a.partition - b.partition).map(({ position }) => position))
    const json = JSON.stringify(ordered)
    return `${Buffer.from(json).toString('base64url')}.${this.#signature(json)}`
  }

  /** Null for an id that was not issued to this principal, or of another log. Partitions that it does not mention start at their end. */
  positionsOf(id: string): number[] | null {
    const [content = '', signature = ''] = id.split('.')
    const json = Buffer.from(content, 'base64url').toString()
    const [given, own] = [Buffer.from(signature), Buffer.from(this.#signature(json))]
    if (given.length !== own.length || !timingSafeEqual(given, own)) return null
    const ordered = JSON.parse(json) as number[][]
    const positions = this.#feed.followed.map(
      ({ at, end }) => ordered[SOURCES.findIndex(({ topic }) => topic.name === at.topic)]?.[at.partition] ?? end,
    )
    const ends = this.#feed.followed.map(({ end }) => end)
    // This process may lag behind the one that issued the id, but a position far ahead is of another log.
    if (positions.some((position, n) => position > (ends[n] as number) + KEPT_RECORDS)) return null
    return positions.map((position, n) => Math.min(position, ends[n] as number))
  }

  #signature(json: string): string {
    return createHmac('sha256', this.#key).update(`${this.#holder}\n${json}`).digest('base64url')
  }
}
