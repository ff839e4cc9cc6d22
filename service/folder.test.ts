import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { configFrom } from '../config.ts'
import type { Connector } from '../connectors/connector.ts'
import { CONNECTORS } from '../connectors/index.ts'
import { MARK, openFolder, settingsOfChannels, settleLog } from './folder.ts'
import { allTopics, auditLog, syncLog } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { openLocalLog } from '../topics/local/log.ts'

const WHATSAPP = {
  WHATSAPP_PHONE_NUMBER_ID: '1',
  WHATSAPP_ACCESS_TOKEN: 'a',
  WHATSAPP_APP_SECRET: 'app-secret',
  WHATSAPP_VERIFY_TOKEN: 'c',
}

let folder: string
let data: string
let warnings: unknown[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'folder-'))
  data = join(folder, 'data')
  warnings = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const open = (env: Record<string, string> = {}) =>
  openFolder(configFrom({ DATA_DIR: data, ...env }), { warn: (what: unknown) => warnings.push(what) })
const marked = () => readFileSync(join(data, MARK), 'utf8').split('\n')[0]
const modeOf = (path: string) => statSync(path).mode & 0o777
function put(name: string, mode = 0o644): string {
  const path = join(data, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, 'x')
  chmodSync(path, mode)
  return path
}

it('the settings of several channels are alternatives', () => {
  const [whatsapp] = CONNECTORS as [Connector]
  const other = { ...whatsapp, settings: { ...whatsapp.settings, required: ['PIGEON_LOFT', 'PIGEON_RING'] } }
  expect(settingsOfChannels([other, { ...other, channel: null }])).toBe('PIGEON_LOFT and PIGEON_RING')
  expect(settingsOfChannels([whatsapp, other])).toMatch(/ and WHATSAPP_\w+, or PIGEON_LOFT and PIGEON_RING$/)
})

describe('what a folder is', () => {
  it('is decided by what is started on it first, and kept', () => {
    expect(open()).toBe('demo')
    expect(marked()).toBe('demo')
    expect(open()).toBe('demo')
    expect(open({ DEMO: '1' })).toBe('demo')
    rmSync(data, { recursive: true })
    expect(open(WHATSAPP)).toBe('live')
    expect(marked()).toBe('live')
    expect(open({ DEMO: '0' })).toBe('live')
  })

  it('is the demo with DEMO=1 in a new volume, or where a first start was cut off while it wrote the mark', () => {
    mkdirSync(join(data, 'lost+found'), { recursive: true })
    writeFileSync(join(data, MARK), '')
    expect(open({ DEMO: '1' })).toBe('demo')
    expect(marked()).toBe('demo')
  })

  it('is refused where it cannot be made', () => {
    writeFileSync(join(folder, 'file'), '')
    symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'))
    for (const path of ['/proc/nothing/data', join(folder, 'file', 'data'), join(folder, 'dangling')])
      expect(() => open({ DATA_DIR: path }), path).toThrow(`DATA_DIR is "${path}", which cannot be made`)
    expect(open({ DATA_DIR: join(data, 'a', 'b') })).toBe('demo')
  })

  it('stays live where the settings of the channel are lost', () => {
    open(WHATSAPP)
    put('log.sqlite')
    for (const env of [{}, { DEMO: '1' }, { VENUES_CSV: 'venues.csv' }] as Record<string, string>[])
      expect(() => open(env)).toThrow()
    expect(() => open()).toThrow(/WHATSAPP_ACCESS_TOKEN.* missing.*live installation.*DEMO=0/)
    expect(marked()).toBe('live')
  })

  it('is never the demo where somebody else has put something, or an earlier version that left no mark', () => {
    put('log.sqlite')
    expect(() => open()).toThrow(/holds what the demo has not made/)
    expect(() => open({ DEMO: '1' })).toThrow(/holds what the demo has not made/)
    expect(open(WHATSAPP)).toBe('live')
  })

  it('is not live where the demo was, marked or not', () => {
    open()
    expect(() => open(WHATSAPP)).toThrow(/is of the demo.*DATA_DIR of its own/)
    expect(() => open({ DEMO: '0' })).toThrow(/is of the demo/)
    rmSync(join(data, MARK))
    put('demo/venues.csv')
    expect(() => open(WHATSAPP)).toThrow(/write "demo" or "live".*installation/)
    writeFileSync(join(data, MARK), 'live\n')
    expect(open(WHATSAPP)).toBe('live')
  })

  it('is not guessed from a mark that says something else', () => {
    put(MARK)
    expect(() => open(WHATSAPP)).toThrow(/begins with "x".*demo or live/)
  })
})

describe('where the demo does not run', () => {
  it.each<Record<string, string>>([
    { NODE_ENV: 'production' },
    { HOST: '0.0.0.0' },
    { HOST: '::' },
    { HOST: '192.0.2.7' },
    { HOST: 'example.com' },
    { HOST: '127.0.0.1.example.com' },
  ])('with %o, by itself or asked for', env => {
    expect(() => open(env)).toThrow(/WHATSAPP_PHONE_NUMBER_ID.*missing.*the demo never runs.*DEMO=0/)
    expect(() => open({ ...env, DEMO: '1' })).toThrow(/DEMO is on, but the demo never runs/)
    expect(open({ ...env, DEMO: '0' })).toBe('live')
  })

  it.each<Record<string, string>>([
    { VENUES_CSV: 'v.csv' },
    { SOUNDTRACK_API_TOKEN: 't' },
    { DATABASE_URL: 'postgresql://127.0.0.1/x' },
    { CLICKHOUSE_URL: 'http://127.0.0.1:1' },
    { REDIS_URL: 'redis://127.0.0.1:1' },
    WHATSAPP,
  ])('beside the settings of an installation: %o', env => {
    expect(() => open({ ...env, DEMO: '1' })).toThrow(new RegExp(`the demo does not run with ${Object.keys(env)[0]}`))
    if (env !== WHATSAPP) expect(() => open(env)).toThrow(/missing/)
  })

  it('on a cluster, unless it is asked for', () => {
    const kafka = { KAFKA_BROKERS: '127.0.0.1:1', SCHEMA_REGISTRY_URL: 'http://127.0.0.1:1' }
    expect(() => open(kafka)).toThrow(/KAFKA_BROKERS/)
    expect(open({ ...kafka, DEMO: '1' })).toBe('demo')
  })

  it('on any loopback address it does', () => {
    expect(open({ HOST: 'localhost' })).toBe('demo')
    expect(open({ HOST: '::1' })).toBe('demo')
    expect(open({ HOST: '127.0.0.2' })).toBe('demo')
  })
})

describe('who may read it', () => {
  it('nobody but its owner, whatever its modes were', () => {
    const files = [put('log.sqlite'), put('state/lmdb/data.mdb', 0o666), put('clickhouse/store/a.bin', 0o640), put('tenant.key')]
    chmodSync(data, 0o755)
    open(WHATSAPP)
    expect(files.map(modeOf)).toEqual(files.map(() => 0o600))
    expect([data, join(data, 'state'), join(data, 'state/lmdb')].map(modeOf)).toEqual([0o700, 0o700, 0o700])
    expect(modeOf(join(data, MARK))).toBe(0o600)
    expect(warnings).toEqual([])
  })

  it('nobody but its owner, also where it is reached by a link', () => {
    const file = put('log.sqlite')
    chmodSync(data, 0o755)
    symlinkSync(data, join(folder, 'link'))
    open({ ...WHATSAPP, DATA_DIR: join(folder, 'link') })
    expect([modeOf(file), modeOf(data)]).toEqual([0o600, 0o700])
  })

  it("leaves a folder that holds others' things as it is, tells it, and closes its own", () => {
    const [ours, theirs] = [put('log.sqlite'), put('letters.txt')]
    chmodSync(data, 0o755)
    open(WHATSAPP)
    expect([modeOf(ours), modeOf(theirs), modeOf(data)]).toEqual([0o600, 0o644, 0o755])
    expect(JSON.stringify(warnings)).toContain(data)
  })
})

describe('the mark of a log', () => {
  const logOf = async (work: (log: Awaited<ReturnType<typeof openLocalLog>>, codec: Codec) => Promise<void>) => {
    const log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics: allTopics() })
    try {
      await work(log, await Codec.open(log, allTopics()))
    } finally {
      await log.close()
    }
  }
  const append = async (log: Awaited<ReturnType<typeof openLocalLog>>) => {
    await log.append([{ topic: auditLog.name, key: 'k', value: Buffer.from('x') }])
  }

  it('is made by the demo on an empty log, which is then its own', () =>
    logOf(async (log, codec) => {
      await settleLog('demo', log, codec, allTopics())
      await append(log)
      await settleLog('demo', log, codec, allTopics())
      const ends = await log.ends(syncLog.name)
      expect(ends.reduce((sum, { high }) => sum + high, 0)).toBe(1)
      await expect(settleLog('live', log, codec, allTopics())).rejects.toThrow(/of the demo.*KAFKA_PREFIX/)
    }))

  it('is not made where another has written', () =>
    logOf(async (log, codec) => {
      await settleLog('live', log, codec, allTopics())
      await append(log)
      await expect(settleLog('demo', log, codec, allTopics())).rejects.toThrow(/holds what the demo has not written/)
      await settleLog('live', log, codec, allTopics())
    }))
})
