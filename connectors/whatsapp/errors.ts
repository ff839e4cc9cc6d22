/**
 * What the Cloud API's error codes mean for a send. https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
 */
import { WINDOW_CLOSED } from '../channel/delivery.ts'

/** One message every 6 s to one user. */
export const PAIR_RATE = 131056

/** Calls of the app, calls of the account, throughput of the number: everybody waits. */
export const LIMITS_OF_THE_NUMBER: readonly number[] = [4, 80007, 130429]

/** Passing failures that come with other statuses than 5xx: service unavailable. */
export const PASSING: readonly number[] = [131016]

/** Said of one person or message, whatever status they come with: they say nothing of the provider's health. */
export const OF_ONE_PERSON: readonly number[] = [131026, 131047, 131009, PAIR_RATE, ...LIMITS_OF_THE_NUMBER]

/** For people, without the provider's own words: those may repeat what was sent. */
const MEANING = new Map<number, string>([
  [190, 'the access token is not valid'],
  [131009, 'the provider found it malformed'],
  [131026, 'the person cannot be reached on WhatsApp'],
  [131047, 'the person wrote more than 24 hours ago, so that only a template may be sent'],
  [131048, 'the number is restricted because people marked it as spam'],
  [131056, 'too many messages to the same person'],
  [130429, 'too many messages from this number'],
])
const REASONS = new Map<string, string>([
  [WINDOW_CLOSED, MEANING.get(131047) ?? ''],
  ['expired', 'WhatsApp could not be reached while it was of use'],
])

/** What went wrong, in words that hold no personal data. */
export function describeError(code: number | null, reason: string): string {
  if (code === null) return REASONS.get(reason) ?? 'WhatsApp did not take it'
  return `${MEANING.get(code) ?? 'the provider refused it'} (${code})`
}
