import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { NotDone, SendRefused, type Run } from '../../engine/actor.ts'
import type { SendMessage, SendResult } from '../../schemas/types.ts'
import { BreakerOpen, TimedOut, TransportFailure } from '../call-errors.ts'
import { type FakeWhatsApp, type FakeWhatsAppOptions, startFakeWhatsApp } from './fake.ts'
import { type WhatsappPorts, whatsappPorts } from './ports.ts'

const ACCOUNT = { phoneNumberId: '106540352242922', accessToken: 'token', appSecret: 'secret' }
let fake: FakeWhatsApp
let open: WhatsappPorts[] = []
const start = async (options: Partial<FakeWhatsAppOptions> = {}) => {
  await fake?.close()
  fake = await startFakeWhatsApp({ ...ACCOUNT, ...options })
}
beforeEach(() => start())
afterEach(async () => {
  await Promise.all(open.map(ports => ports.close()))
  open = []
  await fake.close()
})

function port(settings: Partial<Parameters<typeof whatsappPorts>[0]> = {}) {
  const breaker = { failures: 100 }
  const ports = whatsappPorts({ apiUrl: fake.url, ...ACCOUNT, breaker, timeoutMs: 400, clock: () => 1234, ...settings })
  open.push(ports)
  return (more: Partial<SendMessage> = {}, run: Partial<Run> = {}) => {
    const attempt: Run = {
      attempt: 'a1',
      key: 'main:c1',
      notAfter: null,
      signal: new AbortController().signal,
      beforeSend: () => {},
      ...run,
    }
    return ports.ports.send({ ...message, ...more }, attempt) as Promise<SendResult>
  }
}

const message: SendMessage = {
  id: 'm1',
  conversation: 'main:c1',
  channel: 'whatsapp',
  account: ACCOUNT.phoneNumberId,
  to: '66812345678',
  text: 'สวัสดีค่ะ',
  buttons: [],
  replyTo: null,
  lastInboundAt: 0,
  createdAt: 0,
  more: false,
}

/** Runs the port as the worker does: again after what surely did not happen. Returns the waits asked for, and the result. */
async function persist(send: () => Promise<SendResult>, most = 10) {
  const waits: (number | undefined)[] = []
  for (;;) {
    try {
      return { waits, result: await send() }
    } catch (error) {
      if (!(error instanceof NotDone) || waits.length >= most) throw error
      waits.push(error.retryAfterMs)
    }
  }
}

/** As long as these, or up to a quarter longer. */
function expectWaits(waits: readonly (number | undefined)[], least: readonly number[]): void {
  expect(waits).toHaveLength(least.length)
  for (const [n, wait] of waits.entries()) {
    expect(wait).toBeGreaterThanOrEqual(least[n] as number)
    expect(wait).toBeLessThanOrEqual((least[n] as number) * 1.25 + 1)
  }
}

describe('sending', () => {
  it('gives the provider id of what was taken, and marks it with conversation and attempt', async () => {
    const beforeSend = vi.fn()
    const result = await port()({}, { beforeSend })
    expect(fake.sent).toMatchObject([{ to: '66812345678', text: 'สวัสดีค่ะ', opaque: 'main:c1/a1' }])
    expect(result).toEqual({ id: 'm1', more: false, accepted: true, providerId: fake.sent[0]?.id, at: 1234 })
    expect(beforeSend).toHaveBeenCalledTimes(1)
  })

  it('does not leave when it may not', async () => {
    const beforeSend = () => {
      throw new SendRefused('EXPIRED', 'too late')
    }
    await expect(port()({}, { beforeSend })).rejects.toThrow(SendRefused)
    expect(fake.requests).toBe(0)
  })

  it.each([131026, 131047, 131009, 131048])('reports %i as not accepted and never tries it again', async code => {
    fake.fault({ kind: 'error', code, details: 'as scripted' })
    expect(await port()()).toMatchObject({ accepted: false, errorCode: code, reason: 'as scripted' })
    expect(fake.requests).toBe(1)
  })

  it('does not try those again even when they come as a server error', async () => {
    fake.fault({ kind: 'error', code: 131026, status: 500 })
    expect(await port()()).toMatchObject({ accepted: false, errorCode: 131026 })
  })

  it('reports a bad token and a message that the provider finds malformed', async () => {
    expect(await port({ accessToken: 'old' })()).toMatchObject({ accepted: false, errorCode: 190 })
    expect(await port()({ text: '' })).toMatchObject({ accepted: false, errorCode: 100 })
    const buttons = [{ id: 'x'.repeat(300), title: 'Yes', description: null }]
    expect(await port()({ buttons })).toMatchObject({ accepted: false, errorCode: null, reason: expect.stringMatching(/300/) })
  })

  it('waits 6 s and longer for a pair that is too fast, as often as it takes', async () => {
    fake.fault({ kind: 'error', code: 131056, times: 6 })
    const send = port()
    const { waits, result } = await persist(() => send())
    expectWaits(waits, [6000, 12_000, 24_000, 48_000, 60_000, 60_000])
    expect(result.accepted).toBe(true)
    expect(fake.sent).toHaveLength(1)
  })

  it('does not count those waits as tries of another failure', async () => {
    fake.fault({ kind: 'error', code: 131056, times: 3 })
    fake.fault({ kind: 'status', status: 503 })
    const send = port()
    const { waits, result } = await persist(() => send())
    expectWaits(waits, [6000, 12_000, 24_000, 1000])
    expect(result.accepted).toBe(true)
  })

  it.each([
    { kind: 'status', status: 503 },
    { kind: 'status', status: 502, body: '<html>Bad gateway</html>' },
    { kind: 'error', code: 131016 },
  ] as const)('tries %j again at growing intervals, long enough for a blip, and then leaves it to a human', async fault => {
    const send = port()
    fake.fault({ ...fault, times: 2 })
    const blip = await persist(() => send())
    expectWaits(blip.waits, [1000, 2000])
    expect(blip.result.accepted).toBe(true)
    fake.fault({ ...fault, times: 8 })
    const { waits, result } = await persist(() => send({}, { attempt: 'a2' }))
    expectWaits(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
    expect(result).toMatchObject({ accepted: false, reason: expect.stringMatching(/tried 8 times/) })
    expect(fake.sent).toHaveLength(1)
  })

  it.each([
    { kind: 'error', code: 130429 },
    { kind: 'error', code: 80007 },
    { kind: 'error', code: 4 },
    { kind: 'status', status: 429 },
  ] as const)('keeps the limit %j for everybody, ever longer, and refuses nobody', async fault => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const send = port()
    fake.fault({ ...fault, times: 12 })
    const waits: number[] = []
    for (let n = 0; n < 12; n++) {
      const error = await send().catch(e => e)
      expect(error).toBeInstanceOf(NotDone)
      // Another person's message does not even leave.
      const before = fake.requests
      const other = await send({ to: '66899999999' }, { attempt: 'a2' }).catch(e => e)
      expect(other.retryAfterMs).toBeGreaterThanOrEqual(1000)
      expect(fake.requests).toBe(before)
      waits.push(error.retryAfterMs)
      vi.advanceTimersByTime(error.retryAfterMs)
    }
    const grown = [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30].map(s => s * 1000)
    for (const [n, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(grown[n] as number)
      expect(wait).toBeLessThanOrEqual((grown[n] as number) * 1.25 ** 2 + 2)
    }
    expect(await send()).toMatchObject({ accepted: true })
    expect(await send({}, { attempt: 'a3' })).toMatchObject({ accepted: true })
    vi.useRealTimers()
  })

  it('keeps what Retry-After says where that is longer', async () => {
    fake.fault({ kind: 'status', status: 429, retryAfterS: 40 })
    fake.fault({ kind: 'status', status: 503, retryAfterS: 50 })
    expect((await port()().catch(e => e)).retryAfterMs).toBeGreaterThanOrEqual(40_000)
    expect((await port()().catch(e => e)).retryAfterMs).toBeGreaterThanOrEqual(50_000)
  })

  it('says nothing was done when nobody listens', async () => {
    const send = port()
    await fake.close()
    await expect(send()).rejects.toThrow(NotDone)
  })

  it('leaves it open when the connection drops, before or after the message was taken', async () => {
    const send = port()
    fake.fault({ kind: 'drop_before' })
    await expect(send()).rejects.toThrow(TransportFailure)
    fake.fault({ kind: 'drop_after_accept' })
    await expect(send()).rejects.toThrow(TransportFailure)
    expect(fake.sent).toHaveLength(1)
  })

  it('leaves it open when no answer comes in time', async () => {
    fake.fault({ kind: 'latency', ms: 5000 })
    await expect(port()()).rejects.toThrow(TimedOut)
    expect(fake.sent).toHaveLength(1)
  })

  it('goes on after failures in a row, for they are few', async () => {
    const send = port({ breaker: {} })
    fake.fault({ kind: 'status', status: 500, times: 10 })
    for (let n = 0; n < 10; n++) await expect(send({ to: `6681000000${n}` }, { attempt: `a${n}` })).rejects.toThrow(NotDone)
    expect(await send({ to: '66899999999' }, { attempt: 'b' })).toMatchObject({ accepted: true })
  })

  it('opens the breaker once most of 20 calls have failed, and then nothing leaves', async () => {
    const send = port({ breaker: {} })
    fake.fault({ kind: 'status', status: 500, times: 30 })
    for (let n = 0; n < 20; n++) await expect(send({ to: `6681000000${n % 5}` }, { attempt: `a${n}` })).rejects.toThrow('500')
    await expect(send()).rejects.toThrow(BreakerOpen)
    expect(fake.requests).toBe(20)
  })

  it('never opens it by the errors of one person, or by refusals', { timeout: 30_000 }, async () => {
    const send = port({ breaker: {} })
    fake.fault({ kind: 'status', status: 500, times: 120, to: '66810000001' })
    fake.fault({ kind: 'error', code: 131026, status: 500, times: 60, to: '66810000002' })
    fake.fault({ kind: 'error', code: 100, times: 60, to: '66810000003' })
    fake.fault({ kind: 'error', code: 131056, status: 503, times: 60, to: '66810000004' })
    for (let n = 0; n < 30; n++) {
      for (const person of [1, 1, 1, 2, 3, 4]) await send({ to: `6681000000${person}` }, { attempt: `a${n}` }).catch(() => {})
    }
    expect(await send({ to: '66899999999' }, { attempt: 'b' })).toMatchObject({ accepted: true })
  })

  it('keeps within the number’s messages a second', async () => {
    const send = port({ messagesPerSecond: 50 })
    const begun = performance.now()
    await Promise.all(Array.from({ length: 11 }, (_, n) => send({}, { attempt: `a${n}` })))
    expect(performance.now() - begun).toBeGreaterThan(190)
  })
})

describe('the fake', () => {
  it('limits a pair and the window where asked', async () => {
    await start({ pairLimit: { burst: 2, perMs: 60_000 } })
    const send = port()
    await send()
    await send()
    await expect(send()).rejects.toThrow(/same user/)
    await send({ to: '66899999999' })
    await start({ window: true })
    expect(await port()()).toMatchObject({ errorCode: 131047 })
  })
})
