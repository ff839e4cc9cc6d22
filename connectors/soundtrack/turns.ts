/** What a poll is told once it is its turn. */
import type { ZoneReadingInput } from '../../schemas/types.ts'
import type { Purse } from './client.ts'

/** `renew`: nothing is to be read, what is wanted has changed. `limited`: somebody asked, and the provider is short of tokens. */
export type Turn = Reading | 'renew' | 'limited'

/** One poll that may leave. It has to be ended. */
export interface Reading {
  readonly purse: Purse
  /** `all`: somebody waits for it. `least`: others wait that it would keep waiting. `some`: as much as the bucket affords. */
  readonly detail: 'all' | 'some' | 'least'
  /** @param asOf of what its venues may be told. @returns whether they are */
  read(zones: readonly ZoneReadingInput[], asOf: number): boolean
  failed(reason: string): boolean
  end(): void
}
