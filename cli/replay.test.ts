import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { configFrom } from '../config.ts'
import { MemoryStore } from '../engine/store.ts'
import { Worker } from '../engine/worker.ts'
import { actorNamed, actorsOf } from '../service/actors.ts'
import { codeVersion } from '../service/code-version.ts'
import { allTopics, changelog, venueInbox } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import type { Log } from '../topics/log.ts'

const folder = mkdtempSync(join(tmpdir(), 'replay-tool-'))
/** The tool loads the whole service. */
const TIMEOUT = 60_000
const AT = { topic: venueInbox.name, partition: 0 }
let log: LocalLog

const replay = (...args: string[]) =>
  new Promise<{ code: unknown; out: string; err: string }>(resolve => {
    const file = join(import.meta.dirname, 'replay.ts')
    const env = { PATH: process.env.PATH, DATA_DIR: folder, DEMO: '0' }
    execFile(process.execPath, [file, ...args], { cwd: folder, env }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    )
  })

beforeAll(async () => {
  const venue = actorNamed(actorsOf(configFrom({ DATA_DIR: folder, DEMO: '0' })), 'venue')
  const topics = [...allTopics(), changelog(venue.name, venue.inbox)]
  log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
  const codec = await Codec.open(log, topics)
  const worker = new Worker({
    log: log as never as Log,
    codec,
    actors: [venue],
    ports: {},
    group: 'replay',
    instance: 'replay',
    codeVersion: codeVersion(),
    openStore: async () => new MemoryStore('store'),
  })
  await worker.start()
  const value = codec.encode(venueInbox.name, 'VenueRefresh', { id: 'r1', by: 'p', at: 1 })
  await log.append([
    { ...AT, key: 'main:v1', value },
    { ...AT, key: 'main:v2', value: Buffer.from('no record') },
  ])
  await vi.waitFor(() => expect(worker.task(AT)?.position).toBe(2), { timeout: 10_000 })
  await worker.stop()
})

afterAll(async () => {
  await log.close()
  rmSync(folder, { recursive: true })
})

it(
  'says that a service owns the log, and once it does not, what a replay gives',
  async () => {
    const owned = await replay('--topic', venueInbox.name, '--partition', '0')
    expect([owned.code, owned.out]).toEqual([2, ''])
    expect(owned.err).toMatch(/Stop the service first: it owns the log/)
    await log.close()
    const made = await replay('--topic', venueInbox.name, '--partition', '0')
    expect(made).toEqual({
      code: 0,
      err: '',
      out: expect.stringMatching(/^venue.inbox\/0: 2 records of \d keys? handled, up to offset 2\nequal\n$/),
    })
  },
  TIMEOUT,
)

it(
  'says what is wrong with what it is asked',
  async () => {
    expect((await replay('--topic', 'nothing', '--partition', '0')).err).toMatch(
      /^no actor has the inbox "nothing"; there are conversation.inbox/,
    )
    expect((await replay('--topic', venueInbox.name)).err).toMatch(/^a topic and a partition are needed/)
  },
  TIMEOUT,
)
