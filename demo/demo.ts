/**
 * What `npm start` shows when nothing is configured: the invented world behind fakes of the providers, and a page with a phone
 * to write from. Messages take the real way: signed, through the webhook.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { startFakeSoundtrack } from '../connectors/soundtrack/fake.ts'
import { startFakeWhatsApp } from '../connectors/whatsapp/fake.ts'
import type { Environment } from '../settings/setting.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log } from '../topics/log.ts'
import { demoPage } from './page.ts'
import { demoWorld, venuesCsv } from './world.ts'

export interface Demo {
  /** Settings of the connectors, as variables of the environment. */
  readonly environment: Environment
  /** The page and what it asks for, as routes. */
  page(context: { log: Log; codec: Codec; mostAMinute?: number }): (app: FastifyInstance) => Promise<void>
  /** Tells the fake where webhooks go. */
  connect(baseUrl: string): void
  close(): Promise<void>
}

/** Zones that go on and off line by turns. */
const FLAPPING = [100, 250, 400]

/** Starts the providers' fakes. The sheet is written where there is none, so that changes to it are kept. */
export async function startDemo({ dataDir }: { dataDir: string }): Promise<Demo> {
  const world = demoWorld()
  const folder = join(dataDir, 'demo')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const sheet = join(folder, 'venues.csv')
  if (!existsSync(sheet)) writeFileSync(sheet, venuesCsv(world), { mode: 0o600 })

  const secret = () => randomBytes(16).toString('hex')
  const token = secret()
  const soundtrack = await startFakeSoundtrack({ world: world.soundtrack, token })
  const ids = [...soundtrack.zones.keys()]
  const flap = () => {
    for (const n of FLAPPING) soundtrack.fault({ kind: 'flapping', zone: ids[n] as string })
  }
  flap()
  const account = { phoneNumberId: '100000000000001', accessToken: secret(), appSecret: secret(), verifyToken: secret() }
  const whatsapp = await startFakeWhatsApp({ ...account, statusDelayMs: 150 })
  return {
    environment: {
      VENUES_CSV: sheet,
      SHEET_SOURCE: 'demo',
      SOUNDTRACK_API_URL: soundtrack.url,
      SOUNDTRACK_API_TOKEN: token,
      WHATSAPP_API_URL: whatsapp.url,
      WHATSAPP_PHONE_NUMBER_ID: account.phoneNumberId,
      WHATSAPP_ACCESS_TOKEN: account.accessToken,
      WHATSAPP_APP_SECRET: account.appSecret,
      WHATSAPP_VERIFY_TOKEN: account.verifyToken,
    },
    page: context => app => demoPage(app, { ...context, world, soundtrack, whatsapp, flap }),
    connect: baseUrl => {
      whatsapp.webhookUrl = `${baseUrl}/webhooks/whatsapp`
    },
    close: async () => {
      await Promise.all([soundtrack.close(), whatsapp.close()])
    },
  }
}
