import { number, optionalSection, secret, text } from '../../settings/setting.ts'

export const soundtrackSettings = optionalSection(
  'Soundtrack',
  {
    url: text('SOUNDTRACK_API_URL', 'Address of the API.', { default: 'https://api.soundtrackyourbrand.com/v2' }),
    token: secret('SOUNDTRACK_API_TOKEN', 'API token of the account.'),
    tokensPerSecond: number('SOUNDTRACK_TOKENS_PER_SECOND', 50, 1, 10_000, 'Query cost that the token may spend each second.'),
  },
  ['token'],
)
