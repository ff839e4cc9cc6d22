import type pg from 'pg'
import pino from 'pino'
import { postgresTopics, startPostgresSink } from '../../sinks/postgres/sink.ts'
import type { TestLog } from '../../sinks/testing/log.ts'

const AT = Date.UTC(2026, 4, 1, 9, 0, 0)

/** Five venues, three conversations, alerts and runs, through the log and the sink. */
export async function fill(log: TestLog, pool: pg.Pool): Promise<void> {
  for (const [i, name] of ['Lotus Bay', 'Blue Lagoon', 'Siam Terrace', 'blue heron', 'Étoile'].entries()) {
    const id = `main:v${i}`
    await log.put('venue.profiles', id, 'VenueProfile', {
      venue: id,
      name,
      location: 'Phuket',
      contactName: 'Nok',
      contactPhone: '66800000001',
      provenance: [{ field: 'name', source: 'sheets', at: AT }],
      zones: [
        { zone: 'z1', name: 'Lobby', status: 'ONLINE', playback: 'playing', volume: 7, track: 'Tide', asOf: AT, since: AT - 5 },
        { zone: 'z2', name: 'Pool', status: 'UNKNOWN' },
      ],
      updatedAt: AT,
    })
  }
  await log.put('venue.profiles', 'main:gone', 'VenueProfile', {
    venue: 'main:gone',
    name: 'Old Pier',
    removed: true,
    updatedAt: AT,
  })
  for (const i of [0, 1, 2]) {
    const id = `main:c${i}`
    await log.put('conversation.profiles', id, 'ConversationProfile', {
      conversation: id,
      channel: i === 2 ? 'line' : 'whatsapp',
      account: '1055',
      user: `6680000000${i}`,
      state: 'ready',
      owner: 'WAITING',
      trust: 'HINTED',
      senders: [{ id: `6680000000${i}`, name: 'Nok', trust: 'hinted' }],
      language: 'th',
      venue: 'main:v1',
      venueName: 'Blue Lagoon',
      contactName: 'Nok',
      contactPosition: 'Manager',
      requests: [
        { id: 'r1', kind: 'volume_down', zone: 'z1', zoneName: 'Lobby', value: 6, outcome: 'confirmed', at: AT, endedAt: AT + 9 },
      ],
      openedAt: AT + i,
      updatedAt: AT + i,
      lastInboundAt: AT + i,
    })
  }
  await log.put('conversation.inbox', 'main:c0', 'ChatMessage', {
    id: 'wamid.1',
    channel: 'whatsapp',
    account: '1055',
    chat: '66800000000',
    sender: { id: '66800000000' },
    kind: 'TEXT',
    text: 'เบาเพลงหน่อย',
    sentAt: AT,
    receivedAt: AT,
  })
  await log.put('whatsapp.inbox', 'main:c0', 'SendMessage', {
    id: 'out-1',
    conversation: 'main:c0',
    channel: 'whatsapp',
    account: '1055',
    to: '66800000000',
    text: 'Lobby is at 6 now.',
    lastInboundAt: AT,
    createdAt: AT + 900,
  })
  await log.put('conversation.inbox', 'main:c0', 'SendOutcome', { id: 'out-1', status: 'READ', at: AT })
  await log.put('conversation.inbox', 'main:c0', 'SendOutcome', { id: 'out-2', status: 'SENT', at: AT })
  for (const i of [0, 1, 2]) {
    await log.put('alerts', 'main:v1', 'Alert', {
      id: `a${i}`,
      venue: 'main:v1',
      department: 'OPERATIONS',
      priority: 'CRITICAL',
      kind: 'zone_offline',
      text: 'Lobby is offline',
      at: AT,
    })
    await log.put('sync.log', 'sheets:venues', 'SyncRun', {
      id: `s${i}`,
      source: 'sheets:venues',
      startedAt: AT + i,
      endedAt: AT + i + 40,
      outcome: 'OK',
      venues: 5,
      durationMs: 40.5,
      refusals: [{ line: 3, reason: 'no name' }],
    })
  }
  for (const [page, from, to] of [
    [1, 2, 502],
    [2, 502, 702],
  ] as const) {
    const said = { column: 'zone_count', value: 'four', expected: 'a number', refused: false, reason: 'none' }
    const refusals = Array.from({ length: to - from }, (_, n) => ({ line: from + n, ...said }))
    await log.put('sync.log', 'sheets:venues', 'SyncRefusals', { run: 's0', source: 'sheets:venues', page, refusals, at: AT })
  }
  const sink = await startPostgresSink({ log, codec: log.codec, pool, logger: pino({ level: 'silent' }) })
  const ends = (await Promise.all(postgresTopics.map(topic => log.ends(topic.name)))).flat()
  const all = ends.reduce((sum, { high }) => sum + high, 0)
  while (sink.positions().reduce((sum, { offset }) => sum + offset, 0) < all) await new Promise(setImmediate)
  await sink.close()
}
