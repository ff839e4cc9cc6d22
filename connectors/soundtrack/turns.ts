/** What a poll gets when it is its turn. */
import type { ZoneReadingInput } from '../../schemas/types.ts'
import type { Purse } from './client.ts'

/** `renew`: nothing is read, because what is wanted has changed. `limited`: someone asked, and tokens are short. */
export type Turn = Reading | 'renew' | 'limited'

/** A poll that may be sent. It must be ended. */
export interface Reading {
  readonly purse: Purse
  /** `all`: someone waits for it. `least`: others would have to wait for it. `some`: as much as the bucket affords. */
  readonly detail: 'all' | 'some' | 'least'
  /** @param asOf time of the reading. @returns whether it is sent to the venues */
  read(zones: readonly ZoneReadingInput[], asOf: number): boolean
  failed(reason: string): boolean
  end(): void
}
