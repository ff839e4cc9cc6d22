import avro from 'avsc'
import { describe, expect, it } from 'vitest'
import { type KitStep, testkit } from '../../engine/testing/testkit.ts'
import type { DeliveryStatusInput, SendMessageInput } from '../../schemas/types.ts'
import { WriterSchemas } from '../../engine/writer-schemas.ts'
import { goldenVersions } from '../../schemas/testing/golden.ts'
import { whatsappDelivery } from '../whatsapp/delivery.ts'
import { DELIVERY_DEFAULTS, deliveryActor } from './delivery.ts'

const KEY = 'main:c1'
const NOW = 1_750_000_000_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE

const order = (id: string, more: Partial<SendMessageInput> = {}): SendMessageInput => ({
  id,
  conversation: KEY,
  channel: 'whatsapp',
  account: '106540352242922',
  to: '66812345678',
  text: 'Which zone?',
  lastInboundAt: NOW - MINUTE,
  createdAt: NOW,
  ...more,
})

function connector(settings = DELIVERY_DEFAULTS) {
  const kit = testkit(deliveryActor(whatsappDelivery, settings), { key: KEY, now: NOW })
  return {
    kit,
    /** Orders a message and returns its attempt. */
    order: (id: string, more?: Partial<SendMessageInput>) => kit.handle('SendMessage', order(id, more)).effects[0]?.attempt ?? '',
    accept: (attempt: string, id: string) => kit.complete(attempt, { id, accepted: true, providerId: `wamid.${id}`, at: NOW }),
    refuse: (attempt: string, id: string, errorCode: number) =>
      kit.complete(attempt, { id, accepted: false, errorCode, reason: 'no', at: NOW }),
    report: (status: DeliveryStatusInput['status'], more: Partial<DeliveryStatusInput>) =>
      kit.handle('DeliveryStatus', { providerId: 'wamid.m1', status, at: NOW + 5, ...more }),
  }
}
const outcomes = (step: KitStep) => step.emits.filter(e => e.type === 'SendOutcome').map(e => e.record)
const alerted = (step: KitStep) => step.emits.filter(e => e.type === 'Alert').map(e => e.record)

describe('a message', () => {
  it('is sent while it is of use: 10 minutes after it was decided', () => {
    const { kit } = connector()
    const { effects, emits } = kit.handle('SendMessage', order('m1'))
    expect(effects).toMatchObject([{ effect: 'send', input: { id: 'm1', to: '66812345678' }, notAfter: NOW + 10 * MINUTE }])
    expect(emits).toEqual([])
  })

  it('is not sent after the 24-hour window, nor once it has closed', () => {
    const { kit } = connector()
    const closing = kit.handle('SendMessage', order('m1', { lastInboundAt: NOW - 24 * HOUR + MINUTE }), { at: NOW })
    expect(closing.effects[0]?.notAfter).toBe(NOW + MINUTE)
    const closed = kit.handle('SendMessage', order('m2', { lastInboundAt: NOW - 24 * HOUR }), { at: NOW })
    expect(closed.effects).toEqual([])
    expect(outcomes(closed)).toMatchObject([{ id: 'm2', status: 'FAILED', reason: 'window_closed' }])
    expect(alerted(closed)).toMatchObject([{ kind: 'send_failed', conversation: KEY, resolved: false }])
  })

  it('has its deadline divided by the time scale, the window not', () => {
    const { kit } = connector({ ...DELIVERY_DEFAULTS, timeScale: 60 })
    expect(kit.handle('SendMessage', order('m1')).effects[0]?.notAfter).toBe(NOW + 10_000)
    expect(kit.handle('SendMessage', order('m2', { lastInboundAt: NOW - 23 * HOUR })).effects).toHaveLength(1)
  })

  it('ordered twice is sent once', () => {
    const { kit } = connector()
    kit.handle('SendMessage', order('m1'))
    expect(kit.handle('SendMessage', order('m1')).effects).toEqual([])
  })

  it('waits for the one before it, in order', () => {
    const { kit, accept, order: send } = connector()
    const [first, second] = [send('m1'), send('m2')]
    expect(kit.started.map(e => e.attempt)).toEqual([first])
    accept(first, 'm1')
    expect(kit.started.map(e => e.attempt)).toEqual([second])
  })
})

describe('the outcome of a send', () => {
  it('is SENT with the provider id when it was accepted, which the result itself tells', () => {
    const { kit, order, accept, report } = connector()
    expect(accept(order('m1'), 'm1').emits).toEqual([])
    expect(kit.state?.sends).toMatchObject([{ id: 'm1', status: 'SENT', providerId: 'wamid.m1' }])
    expect(report('READ', {}).emits).toMatchObject([
      { topic: 'conversation.inbox', key: KEY, record: { id: 'm1', status: 'READ', providerId: 'wamid.m1' } },
    ])
  })

  it('is FAILED with the code when it was not, and a human is told without personal data', () => {
    const { order, refuse } = connector()
    const step = refuse(order('m1'), 'm1', 131026)
    expect(outcomes(step)).toMatchObject([{ id: 'm1', status: 'FAILED', errorCode: 131026, reason: 'no' }])
    expect(alerted(step)).toMatchObject([{ kind: 'send_failed', priority: 'HIGH', department: 'OPERATIONS', resolved: false }])
    expect(JSON.stringify(alerted(step))).not.toMatch(/66812345678|Which zone/)
  })

  it.each([
    ['EXPIRED', 'expired'],
    ['NOT_DONE', 'connection refused'],
  ] as const)('is FAILED when the attempt ended as %s', (how, reason) => {
    const { kit, order } = connector()
    const step = kit.end(order('m1'), how, 'connection refused')
    expect(outcomes(step)).toMatchObject([{ id: 'm1', status: 'FAILED', reason }])
    expect(alerted(step)).toHaveLength(1)
  })

  it('is each higher status once, in whatever order they are reported', () => {
    const { order, accept, report } = connector()
    const attempt = order('m1')
    expect(outcomes(report('DELIVERED', { attempt }))).toMatchObject([
      { status: 'DELIVERED', providerId: 'wamid.m1', at: NOW + 5 },
    ])
    expect(accept(attempt, 'm1').emits).toEqual([])
    expect(report('SENT', {}).emits).toEqual([])
    expect(report('DELIVERED', {}).emits).toEqual([])
    expect(outcomes(report('READ', {}))).toMatchObject([{ id: 'm1', status: 'READ' }])
    expect(report('FAILED', {}).emits).toEqual([])
  })

  it('may be FAILED after it was sent, and still DELIVERED after that, which resolves the alert', () => {
    const { order, accept, report } = connector()
    accept(order('m1'), 'm1')
    const failed = report('FAILED', { errorCode: 131026, error: 'undeliverable' })
    expect(outcomes(failed)).toMatchObject([{ status: 'FAILED', errorCode: 131026, reason: 'undeliverable' }])
    const arrived = report('DELIVERED', {})
    expect(outcomes(arrived)).toMatchObject([{ status: 'DELIVERED' }])
    expect(alerted(arrived)).toMatchObject([{ id: alerted(failed)[0].id, resolved: true }])
    expect(alerted(report('READ', {}))).toEqual([])
  })

  it('of a message that is none of ours is passed over', () => {
    const { kit, order, report } = connector()
    expect(report('READ', {}).emits).toEqual([])
    expect(kit.state).toBeNull()
    order('m1')
    expect(report('READ', { providerId: 'wamid.other' }).emits).toEqual([])
    expect(report('UNKNOWN', { attempt: kit.started[0]?.attempt ?? '' }).emits).toEqual([])
  })
})

describe('a send that may or may not have happened', () => {
  it('is told as UNKNOWN, is not sent again, and the next one goes out', () => {
    const { kit, order } = connector()
    const [attempt, next] = [order('m1'), order('m2')]
    const step = kit.end(attempt, 'UNKNOWN', 'no answer')
    expect(outcomes(step)).toMatchObject([{ id: 'm1', status: 'UNKNOWN', reason: 'no answer' }])
    expect(step.effects).toEqual([])
    expect(kit.started.map(e => e.attempt)).toEqual([next])
  })

  it.each(['SENT', 'DELIVERED', 'READ', 'FAILED'] as const)('is reconciled by a status %s of its attempt', status => {
    const { kit, order, report } = connector()
    const attempt = order('m1')
    kit.end(attempt, 'UNKNOWN')
    expect(outcomes(report(status, { attempt }))).toMatchObject([{ id: 'm1', status, providerId: 'wamid.m1' }])
    expect(kit.state?.sends).toMatchObject([{ status, providerId: 'wamid.m1' }])
  })

  it('is reconciled by a late result', () => {
    const { kit, order, accept } = connector()
    const attempt = order('m1')
    kit.end(attempt, 'UNKNOWN')
    expect(outcomes(accept(attempt, 'm1'))).toMatchObject([{ id: 'm1', status: 'SENT', providerId: 'wamid.m1' }])
  })

  it('was reported already: then nothing is unknown', () => {
    const { kit, order, report } = connector()
    const attempt = order('m1')
    report('DELIVERED', { attempt })
    expect(kit.end(attempt, 'UNKNOWN').emits).toEqual([])
  })

  it('is shown to a human when nothing is reported of it for 5 minutes, and resolved when something is', () => {
    const { kit, order, report } = connector()
    const attempt = order('m1')
    kit.end(attempt, 'UNKNOWN')
    const step = kit.fire('unknown:m1')
    expect(kit.now).toBeGreaterThanOrEqual(NOW + 5 * MINUTE)
    expect(alerted(step)).toMatchObject([{ id: 'send_failed:m1', resolved: false }])
    expect(outcomes(step)).toEqual([])
    expect(alerted(report('SENT', { attempt }))).toMatchObject([{ id: 'send_failed:m1', resolved: true }])
  })

  it('and was reconciled in time alarms nobody', () => {
    const { kit, order, report } = connector()
    const attempt = order('m1')
    kit.end(attempt, 'UNKNOWN')
    report('SENT', { attempt })
    expect(kit.fire('unknown:m1').emits).toEqual([])
  })
})

describe('a message in parts', () => {
  const LONG = ['a', 'b', 'c'].map(letter => letter.repeat(4000)).join('\n')
  /** A message in three parts, of which this many were accepted; and the attempt of the next one. */
  const sending = (accepted: number) => {
    const scene = connector()
    scene.kit.handle('SendMessage', order('m1', { text: LONG }))
    for (let n = 1; n <= accepted; n++) accept(scene, n)
    return scene
  }
  const attempt = ({ kit }: ReturnType<typeof connector>) => kit.started[0]?.attempt ?? ''
  const accept = (scene: ReturnType<typeof connector>, n: number) =>
    scene.kit.complete(attempt(scene), { id: 'm1', more: n < 3, accepted: true, providerId: `wamid.${n}`, at: NOW })
  const texts = ({ kit }: ReturnType<typeof connector>) => kit.started.map(e => e.input.text[0])

  it('sends each once the one before was accepted, all under the id of the whole', () => {
    const scene = sending(0)
    expect([texts(scene), scene.kit.started.map(e => [e.input.id, e.input.more])]).toEqual([['a'], [['m1', true]]])
    expect(accept(scene, 1).emits).toEqual([])
    expect(texts(scene)).toEqual(['b'])
    accept(scene, 2)
    expect([texts(scene), scene.kit.started.map(e => [e.input.id, e.input.more])]).toEqual([['c'], [['m1', false]]])
    expect(scene.kit.state?.sends).toMatchObject([{ id: 'm1', status: 'QUEUED' }])
    accept(scene, 3)
    expect(scene.kit.started).toEqual([])
    expect(scene.kit.state?.sends).toMatchObject([{ id: 'm1', status: 'SENT', providerId: 'wamid.3' }])
  })

  it('has the worst status of its parts: it is delivered, and read, when all of them are', () => {
    const { report } = sending(3)
    const said = (providerId: string, status: DeliveryStatusInput['status']) => outcomes(report(status, { providerId }))
    expect(said('wamid.3', 'READ')).toEqual([])
    expect(said('wamid.1', 'DELIVERED')).toEqual([])
    expect(said('wamid.2', 'DELIVERED')).toMatchObject([{ id: 'm1', status: 'DELIVERED', providerId: 'wamid.3' }])
    expect(said('wamid.1', 'READ')).toEqual([])
    expect(said('wamid.2', 'READ')).toMatchObject([{ id: 'm1', status: 'READ' }])
  })

  it('has failed when one of them has, and is delivered after all once each is', () => {
    const { report } = sending(3)
    const said = (providerId: string, status: DeliveryStatusInput['status']) => report(status, { providerId })
    const failed = said('wamid.1', 'FAILED')
    expect(outcomes(failed)).toMatchObject([{ id: 'm1', status: 'FAILED' }])
    expect(alerted(failed)).toMatchObject([{ id: 'send_failed:m1', resolved: false, text: expect.stringContaining('in full') }])
    for (const n of [2, 3]) expect(said(`wamid.${n}`, 'DELIVERED').emits).toEqual([])
    const arrived = said('wamid.1', 'DELIVERED')
    expect(outcomes(arrived)).toMatchObject([{ id: 'm1', status: 'DELIVERED' }])
    expect(alerted(arrived)).toMatchObject([{ id: 'send_failed:m1', resolved: true }])
  })

  it.each(['refused', 'EXPIRED', 'NOT_DONE', 'UNKNOWN'] as const)('stops at a part that was %s', how => {
    const scene = sending(1)
    const { kit, refuse, report } = scene
    const stopped = how === 'refused' ? refuse(attempt(scene), 'm1', 131026) : kit.end(attempt(scene), how)
    expect(outcomes(stopped)).toMatchObject([{ id: 'm1', status: 'FAILED' }])
    expect(alerted(stopped)).toMatchObject([{ id: 'send_failed:m1', text: expect.stringContaining('in full') }])
    expect(kit.started).toEqual([])
    // What was sent of it may arrive: that is not all of it.
    expect(report('DELIVERED', { providerId: 'wamid.1' }).emits).toEqual([])
    expect(kit.state?.sends).toMatchObject([{ id: 'm1', status: 'FAILED' }])
  })

  it('stops when a part that was accepted is reported as failed', () => {
    const scene = sending(1)
    expect(outcomes(scene.report('FAILED', { providerId: 'wamid.1' }))).toMatchObject([{ id: 'm1', status: 'FAILED' }])
    accept(scene, 2)
    expect(scene.kit.started).toEqual([])
  })

  it('goes on where a part is reported before its result arrives', () => {
    const scene = sending(0)
    const first = attempt(scene)
    scene.report('SENT', { providerId: 'wamid.1', attempt: first })
    accept(scene, 1)
    expect(texts(scene)).toEqual(['b'])
    accept(scene, 2)
    expect(texts(scene)).toEqual(['c'])
  })

  it('may not have been sent where its last part may not have been', () => {
    const scene = sending(2)
    const last = attempt(scene)
    expect(outcomes(scene.kit.end(last, 'UNKNOWN'))).toMatchObject([{ id: 'm1', status: 'UNKNOWN' }])
    expect(outcomes(scene.report('DELIVERED', { attempt: last, providerId: 'wamid.3' }))).toMatchObject([
      { id: 'm1', status: 'SENT' },
    ])
  })

  it.each(['accepted', 'refused'] as const)('lets the messages after it wait until it is %s', how => {
    const scene = sending(0)
    const { kit, refuse } = scene
    kit.handle('SendMessage', order('m2'))
    kit.handle('SendMessage', order('m3'))
    const sent: string[] = []
    const next = () => sent.push(`${kit.started[0]?.input.id}:${kit.started[0]?.input.text[0]}`)
    next()
    if (how === 'refused') refuse(attempt(scene), 'm1', 131026)
    else
      for (const n of [1, 2, 3]) {
        accept(scene, n)
        next()
      }
    if (how === 'refused') next()
    scene.accept(attempt(scene), 'm2')
    next()
    const rest = ['m2:W', 'm3:W']
    expect(sent).toEqual(how === 'refused' ? ['m1:a', ...rest] : ['m1:a', 'm1:b', 'm1:c', ...rest])
  })

  it('is told of though it is too old to be kept: of a part that others follow, that it failed', () => {
    const scene = sending(0)
    for (let n = 0; n < 40; n++) scene.order(`n${n}`)
    expect(accept(scene, 1).emits).toEqual([])
    expect(scene.kit.state?.sends.map(s => s.id)).not.toContain('m1')
    expect(outcomes(scene.refuse(attempt(scene), 'm1', 131026))).toMatchObject([{ id: 'm1', status: 'FAILED' }])
  })

  it('takes as much room among the newest as it has parts: the state stays small', () => {
    const { kit, order: send } = connector()
    for (let n = 0; n < 40; n++) send(`m${n}`, { text: LONG })
    expect(kit.state?.sends.map(s => s.id)).toEqual(Array.from({ length: 10 }, (_, n) => `m${n + 30}`))
  })

  it('of an erased person is not kept', () => {
    const scene = sending(0)
    scene.kit.handle('ErasePerson', { id: 'erasure-1', channel: 'whatsapp', at: NOW })
    for (const n of [1, 2, 3]) expect(accept(scene, n).emits).toEqual([])
    expect([scene.kit.state, scene.kit.started]).toEqual([null, []])
  })
})

describe('the state', () => {
  it('keeps the newest 30 sends, and a result of an older one is told all the same', () => {
    const { kit, order, refuse } = connector()
    const attempts = Array.from({ length: 40 }, (_, n) => order(`m${n}`))
    expect(kit.state?.sends.map(s => s.id)).toEqual(Array.from({ length: 30 }, (_, n) => `m${n + 10}`))
    expect(outcomes(refuse(attempts[0] ?? '', 'm0', 131026))).toMatchObject([{ id: 'm0', status: 'FAILED' }])
    expect(kit.state?.sends).toHaveLength(30)
  })
})

describe('an erased person', () => {
  it('is not brought back by the send that was under way', () => {
    for (const end of ['accept', 'UNKNOWN', 'EXPIRED'] as const) {
      const { kit, order, accept, report } = connector()
      order('m0')
      const attempt = kit.started[0]?.attempt ?? ''
      kit.handle('ErasePerson', { id: 'erasure-1', channel: 'whatsapp', at: NOW })
      expect(kit.state).toBeNull()
      const step = end === 'accept' ? accept(attempt, 'm0') : kit.end(attempt, end)
      expect(step).toMatchObject({ result: 'handled', emits: [] })
      expect(report('READ', { attempt }).emits).toEqual([])
      expect(kit.state).toBeNull()
      expect(kit.timers).toEqual([])
    }
  })
})

describe('a state that was written under its former name', () => {
  it('is read, and goes on', () => {
    const [former] = goldenVersions('DeliveryState')
    expect(former?.schema.name).toBe('WhatsappState')
    const type = avro.Type.forSchema(former?.schema as avro.Schema)
    const send = { id: 'm1', attempt: 'a1', providerId: 'wamid.m1', status: 'SENT', alerted: false, at: NOW }
    const writers = new WriterSchemas()
    const fingerprint = writers.add(JSON.stringify(former?.schema))
    expect(writers.decode('DeliveryState', fingerprint, type.toBuffer({ sends: [send] }))).toEqual({
      sends: [{ ...send, parts: [] }],
    })
  })
})
