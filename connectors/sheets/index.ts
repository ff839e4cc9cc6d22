/** The venue sheet, as a file. */
import { randomBytes } from 'node:crypto'
import { RECORD_ID } from '../../engine/headers.ts'
import { sheetsInbox } from '../../topics/catalog.ts'
import { type ConnectorContext, defineConnector } from '../connector.ts'
import { SHEETS_DEFAULTS, sheetsActor } from './actor.ts'
import { sheetFilePort } from './file.ts'
import { sheetsSettings } from './settings.ts'
import { type Watch, watchSheet } from './watch.ts'

/** Key of the one sheet there is. */
const SHEET = 'main'

export const sheets = defineConnector({
  name: 'sheets',
  settings: sheetsSettings,
  actor: timeScale => sheetsActor({ ...SHEETS_DEFAULTS, timeScale }),
  connect: ({ file, source, dateOrder, accept }, context) => {
    let watch: Watch | null = null
    return {
      ports: {
        read: sheetFilePort({ file, dateOrder, accept, country: context.countryCode, ...(source !== null && { source }) }),
      },
      started: async () => {
        watch = watchSheet({ file, changed: () => readNow('changed', context) })
        await readNow('start', context)
      },
      stopping: () => watch?.close(),
    }
  },
})

async function readNow(reason: string, { log, codec }: ConnectorContext): Promise<void> {
  const value = codec.encode(sheetsInbox.name, 'SyncNow', { reason })
  await log.append([{ topic: sheetsInbox.name, key: SHEET, value, headers: { [RECORD_ID]: randomBytes(12).toString('hex') } }])
}
