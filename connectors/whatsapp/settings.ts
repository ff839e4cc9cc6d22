import { optionalSection, secret, text } from '../../settings/setting.ts'

/** Meta's app secrets have 32 characters. A shorter one can only be guessed by trying, 60,000 times a minute at most. */
const MIN_APP_SECRET_CHARS = 8
const MIN_DIFFERENT_CHARS = 4

export const whatsappSettings = optionalSection(
  'WhatsApp',
  {
    apiUrl: text('WHATSAPP_API_URL', 'Address of the Cloud API, with its version.', {
      default: 'https://graph.facebook.com/v23.0',
    }),
    phoneNumberId: text('WHATSAPP_PHONE_NUMBER_ID', 'Id of our phone number at Meta.'),
    accessToken: secret('WHATSAPP_ACCESS_TOKEN', 'Access token of the number.'),
    appSecret: secret('WHATSAPP_APP_SECRET', 'Secret of the app, which signs webhooks.'),
    verifyToken: secret('WHATSAPP_VERIFY_TOKEN', 'The token that Meta shows when it checks the webhook.'),
  },
  ['phoneNumberId', 'accessToken', 'appSecret', 'verifyToken'],
  ({ appSecret }, problems) => {
    if (appSecret.length >= MIN_APP_SECRET_CHARS && new Set(appSecret).size >= MIN_DIFFERENT_CHARS) return
    problems.push(
      `WHATSAPP_APP_SECRET is no app secret: it has ${appSecret.length} characters, and Meta's have 32; anyone who guesses it can sign webhooks`,
    )
  },
)
