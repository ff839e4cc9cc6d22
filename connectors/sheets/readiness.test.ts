import { expect, it } from 'vitest'
import type { SyncOutcome, SyncRun } from '../../schemas/types.ts'
import { SheetReadiness } from './readiness.ts'

/** What is said after these runs, with so many venues in the index. */
function after(outcomes: readonly SyncOutcome[], venues = 3, configured = true) {
  const sheet = new SheetReadiness()
  for (const outcome of outcomes) sheet.ran({ outcome, venues: 3, reason: `because ${outcome}` } as SyncRun)
  return sheet.status(venues, configured)
}

it.each<[string, SyncOutcome[], number, 'up' | 'degraded' | 'down', RegExp]>([
  ['before the first reading', [], 0, 'down', /not been read yet/],
  ['while its rows are not all in the index', ['OK'], 2, 'down', /2 of 3/],
  ['once they are', ['OK'], 3, 'up', /3 of 3/],
  ['while nothing has changed', ['OK', 'UNCHANGED'], 3, 'up', /3 of 3/],
  ['when the first was refused', ['REFUSED'], 0, 'degraded', /no venues yet: because REFUSED/],
  ['when the file is gone since', ['REFUSED', 'FAILED'], 0, 'degraded', /because FAILED/],
  ['while there is no file', ['FAILED', 'FAILED'], 0, 'down', /because FAILED/],
  ['when a later one was refused', ['OK', 'REFUSED'], 3, 'degraded', /3 of 3.*refused: because REFUSED/],
  ['when one is good again', ['OK', 'REFUSED', 'OK'], 3, 'up', /^3 of 3 venues are in the index$/],
])('%s', (_, outcomes, venues, status, detail) => {
  expect(after(outcomes, venues)).toEqual({ status, detail: expect.stringMatching(detail) })
})

it('a process without a sheet is ready, and says that there is none', () => {
  expect(after([], 0, false)).toMatchObject({ status: 'degraded', detail: expect.stringMatching(/VENUES_CSV/) })
})
