/** How long a provider's failures are tolerated, and who hears of them when. */
import { number, section } from './setting.ts'

/** Times in ms. */
export interface ProviderConfig {
  /** Of a source: failures in a row until it counts as down. */
  readonly breakerFailures: number
  /** How long it is then left alone at first, and at most. */
  readonly breakerProbeMs: number
  readonly breakerMostMs: number
  /** Of a message channel: the share of calls that fail until it counts as down, and over how many at least. */
  readonly channelShare: number
  readonly channelCalls: number
  /** The pause after a rate limit that a provider has reported, at first and at most. */
  readonly limitMs: number
  readonly limitMostMs: number
  /** When a person who waits hears what is the matter. */
  readonly firstWordMs: number
  /** How long a control is tried. */
  readonly tryMs: number
}

export const providerSettings = section('Providers', {
  breakerFailures: number('BREAKER_FAILURES', 3, 1, 1_000, 'Failures in a row until a source counts as down.'),
  breakerProbeMs: number(
    'BREAKER_PROBE_MS',
    5_000,
    100,
    300_000,
    'First wait until a provider that is down is asked again, ms; doubled each time.',
  ),
  breakerMostMs: number('BREAKER_MAX_MS', 300_000, 100, 3_600_000, 'Longest such wait, ms.'),
  channelShare: number('CHANNEL_BREAKER_RATE', 0.5, 0.05, 0.95, 'Share of failing calls from which a channel counts as down.'),
  channelCalls: number('CHANNEL_BREAKER_CALLS', 20, 20, 10_000, 'Least calls over which that share is taken.'),
  limitMs: number('LIMIT_PAUSE_MS', 1_000, 1_000, 300_000, 'First pause after a rate limit that a provider reports, ms.'),
  limitMostMs: number('LIMIT_PAUSE_MAX_MS', 30_000, 1_000, 3_600_000, 'Longest such pause, ms.'),
  firstWordMs: number('FIRST_WORD_MS', 15_000, 1_000, 18_000, 'When a person who waits hears what is the matter, ms.'),
  tryMs: number('CONTROL_TRY_MS', 120_000, 30_000, 600_000, 'How long a control is tried, ms.'),
})

/** When a message channel counts as down. */
export function channelBreaker({ breakerProbeMs: probeMs, breakerMostMs: mostMs, channelShare, channelCalls }: ProviderConfig) {
  return { probeMs, mostMs, rate: { share: channelShare, calls: channelCalls } }
}

/** When a source counts as down. */
export function sourceBreaker({ breakerProbeMs: probeMs, breakerMostMs: mostMs, breakerFailures: failures }: ProviderConfig) {
  return { probeMs, mostMs, failures }
}

/** The pause after a rate limit. */
export function limitPause({ limitMs: firstMs, limitMostMs: mostMs }: ProviderConfig) {
  return { firstMs, mostMs }
}
