/** The state of the trial actors, before anything has happened. */
import type { TrialState } from '../../schemas/types.ts'

export const EMPTY: TrialState = {
  count: 0,
  last: -1,
  digest: '',
  ticks: 0,
  done: 0,
  unknown: 0,
  undone: 0,
  late: 0,
  payload: Buffer.alloc(0),
}
