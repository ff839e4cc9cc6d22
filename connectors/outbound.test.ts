import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { NotDone, SendRefused, type Run } from '../engine/actor.ts'
import { BreakerOpen, HttpFailure, neverSent, TimedOut, TransportFailure } from './call-errors.ts'
import { fetchJson } from './http.ts'
import { type Outbound, type OutboundOptions, outbound } from './outbound.ts'

const opened: Outbound[] = []
const servers: Server[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(o => o.close()))
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
})

function open(options: Partial<OutboundOptions> = {}): Outbound {
  const made = outbound({ name: 'test', timeoutMs: 2_000, retry: { firstMs: 1 }, ...options })
  opened.push(made)
  return made
}

function run(overrides: Partial<Run> = {}): Run & { left: number } {
  const made = {
    attempt: 'a1',
    key: 'k',
    notAfter: null,
    signal: new AbortController().signal,
    left: 0,
    beforeSend: () => {
      made.left += 1
    },
    ...overrides,
  }
  return made
}

const status = (code: number) => new HttpFailure(code, '', new Headers())

/** A request that throws these, one at each try, and then answers. */
function script(...errors: unknown[]) {
  return vi.fn(async (_signal: AbortSignal) => {
    if (errors.length > 0) throw errors.shift()
    return 'done'
  })
}

/** A request that stays under way until `finish` is called. */
function gate() {
  const started = Promise.withResolvers<void>()
  const finished = Promise.withResolvers<string>()
  const request = () => {
    started.resolve()
    return finished.promise
  }
  return { request, started: started.promise, finish: () => finished.resolve('done') }
}

async function listen(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer)
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe('retries', () => {
  it.each([500, 502, 503, 504])('tries HTTP %i three times in all, and leaves before each', async code => {
    const request = script(status(code), status(code))
    const leaving = run()
    await expect(open().call(leaving, request)).resolves.toBe('done')
    expect(request).toHaveBeenCalledTimes(3)
    expect(leaving.left).toBe(3)
  })

  it('gives up with the last error after three tries', async () => {
    const request = script(status(503), status(503), status(502), 'never reached')
    await expect(open().call(run(), request)).rejects.toMatchObject({ status: 502 })
    expect(request).toHaveBeenCalledTimes(3)
  })

  it.each([400, 401, 403, 404, 429, 501])('does not repeat HTTP %i', async code => {
    const request = script(status(code))
    await expect(open().call(run(), request)).rejects.toMatchObject({ status: code })
    expect(request).toHaveBeenCalledTimes(1)
  })

  it('repeats a connection that was never made, even for a request that must not happen twice', async () => {
    const request = script(new TransportFailure('refused', false))
    await expect(open().call(run(), request, { retryable: neverSent })).resolves.toBe('done')
  })

  it('does not repeat a 503 or a broken connection for a request that must not happen twice', async () => {
    for (const error of [status(503), new TransportFailure('reset', true)]) {
      const request = script(error)
      await expect(open().call(run(), request, { retryable: neverSent })).rejects.toBe(error)
      expect(request).toHaveBeenCalledTimes(1)
    }
  })

  it('repeats a time-out only where the caller says so', async () => {
    const slowOnce = () => {
      let calls = 0
      return vi.fn((signal: AbortSignal) =>
        ++calls === 1
          ? new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
          : Promise.resolve('done'),
      )
    }
    await expect(open({ timeoutMs: 20 }).call(run(), slowOnce())).rejects.toBeInstanceOf(TimedOut)
    await expect(open({ timeoutMs: 20 }).call(run(), slowOnce(), { retryable: () => true })).resolves.toBe('done')
  })

  it('says that an earlier try may have been done, when the last one surely was not', async () => {
    const reset = new TransportFailure('reset', true)
    const request = script(reset, new TransportFailure('refused', false), new TransportFailure('refused', false))
    await expect(open().call(run(), request, { retryable: () => true })).rejects.toBe(reset)
  })
})

describe('leaving', () => {
  it('says that nothing was done where a try came to nothing and the next may not leave', async () => {
    let leaves = 0
    const beforeSend = () => {
      if (++leaves > 1) throw new SendRefused('RELEASED', 'the worker is stopping')
    }
    const refused = new TransportFailure('connection refused', false)
    const told = await open()
      .call(run({ beforeSend }), script(refused))
      .catch(error => error)
    expect(told).toBeInstanceOf(NotDone)
    expect(told.message).toMatch(/the worker is stopping/)
    expect(leaves).toBe(2)
  })

  it('lets SendRefused pass: no request, no retry, no failure counted', async () => {
    const expired = new SendRefused('EXPIRED', 'too late')
    const request = script()
    const calls = open({ breaker: { failures: 1 } })
    const beforeSend = vi.fn(() => {
      throw expired
    })
    await expect(calls.call(run({ beforeSend }), request, { retryable: () => true })).rejects.toBe(expired)
    expect(request).not.toHaveBeenCalled()
    expect(beforeSend).toHaveBeenCalledTimes(1)
    expect(calls.state).toBe('closed')
  })

  it('leaves only once there is a free slot', async () => {
    const calls = open({ concurrency: 1 })
    const { request, started, finish } = gate()
    const first = calls.call(run(), request)
    const waiting = run()
    const second = calls.call(waiting, script())
    await started
    expect(waiting.left).toBe(0)
    finish()
    await first
    await expect(second).resolves.toBe('done')
    expect(waiting.left).toBe(1)
  })

  it('serves what is urgent first', async () => {
    const calls = open({ concurrency: 1 })
    const order: string[] = []
    const { request, started, finish } = gate()
    const first = calls.call(run(), request)
    await started
    const note = (name: string) => async () => void order.push(name)
    const later = [
      calls.call(run(), note('poll'), { priority: 7 }),
      calls.call(run(), note('command'), { priority: 1 }),
      calls.call(run(), note('verification'), { priority: 2 }),
    ]
    await vi.waitFor(() => expect(calls.queued).toBe(3))
    finish()
    await Promise.all([first, ...later])
    expect(order).toEqual(['command', 'verification', 'poll'])
  })

  it('ends what waits when its signal is aborted, and never sends it', async () => {
    const calls = open({ concurrency: 1 })
    const { request, started, finish } = gate()
    const first = calls.call(run(), request)
    await started
    const aborter = new AbortController()
    const never = script()
    const second = calls.call(run({ signal: aborter.signal }), never)
    aborter.abort()
    await expect(second).rejects.toBeInstanceOf(TimedOut)
    finish()
    await first
    await calls.call(run(), script())
    expect(never).not.toHaveBeenCalled()
  })

  it('releases what waits when it is closed', async () => {
    const calls = open({ concurrency: 1 })
    const { request, started, finish } = gate()
    const first = calls.call(run(), request)
    await started
    const second = calls.call(run(), script())
    const closed = calls.close()
    await expect(second).rejects.toMatchObject({ outcome: 'RELEASED' })
    finish()
    await expect(first).resolves.toBe('done')
    await closed
    await expect(calls.call(run(), script())).rejects.toBeInstanceOf(SendRefused)
  })
})

describe('reservoir', () => {
  it('lets no more through in a window than it holds', async () => {
    const calls = open({ reservoir: { amount: 3, perMs: 60_000 } })
    await calls.call(run(), script(), { weight: 2 })
    const tooMuch = vi.fn(script())
    const waiting = calls.call(run(), tooMuch, { weight: 2 })
    const fits = calls.call(run(), script(), { weight: 1, priority: 1 })
    await expect(fits).resolves.toBe('done')
    expect(tooMuch).not.toHaveBeenCalled()
    await calls.close()
    await expect(waiting).rejects.toBeInstanceOf(SendRefused)
  })

  it('gives back what a request took that never left', async () => {
    const calls = open({ reservoir: { amount: 1, perMs: 60_000 } })
    const beforeSend = () => {
      throw new SendRefused('EXPIRED', 'too late')
    }
    await expect(calls.call(run({ beforeSend }), script())).rejects.toBeInstanceOf(SendRefused)
    await expect(calls.call(run(), script())).resolves.toBe('done')
  })
})

describe('breaker', () => {
  const refuse = { retryable: () => false }

  it('opens after three failures in a row, and then nothing leaves', async () => {
    const calls = open()
    for (let n = 0; n < 3; n++) {
      expect(calls.state).toBe('closed')
      await expect(calls.call(run(), script(new TransportFailure('reset', true)), refuse)).rejects.toThrow('reset')
    }
    expect(calls.state).toBe('open')
    const leaving = run()
    const error = await calls.call(leaving, script()).catch(e => e)
    expect(error).toBeInstanceOf(BreakerOpen)
    expect(error).toBeInstanceOf(NotDone)
    expect(error.retryAfterMs).toBeGreaterThan(4_000)
    expect(error.retryAfterMs).toBeLessThanOrEqual(5_500)
    expect(leaving.left).toBe(0)
  })

  it('does not count business errors', async () => {
    const calls = open({ breaker: { failures: 1 } })
    for (const error of [status(400), status(404), status(429), new Error('refused by the provider')]) {
      await expect(calls.call(run(), script(error))).rejects.toBe(error)
    }
    expect(calls.state).toBe('closed')
  })

  it('lets one try through after its recovery time, which the time scale divides, and closes when that succeeds', async () => {
    const calls = open({ breaker: { failures: 1, probeMs: 50_000 }, timeScale: 1_000 })
    await expect(calls.call(run(), script(status(503)), refuse)).rejects.toThrow('503')
    expect(calls.state).toBe('open')
    const { request, started, finish } = gate()
    let probing: Promise<string> | undefined
    await vi.waitFor(async () => {
      probing = calls.call(run(), request)
      await Promise.race([started, probing])
    })
    expect(calls.state).toBe('half_open')
    await expect(calls.call(run(), script())).rejects.toBeInstanceOf(BreakerOpen)
    finish()
    await probing
    expect(calls.state).toBe('closed')
  })

  it('does not close because a try after the recovery time never left', async () => {
    const calls = open({ breaker: { failures: 1, probeMs: 1 } })
    await expect(calls.call(run(), script(status(503)), refuse)).rejects.toThrow('503')
    const beforeSend = () => {
      throw new SendRefused('EXPIRED', 'too late')
    }
    await vi.waitFor(() => expect(calls.call(run({ beforeSend }), script())).rejects.toBeInstanceOf(SendRefused))
    expect(calls.state).toBe('open')
  })

  it('catches what queued while it was still closed', async () => {
    const calls = open({ concurrency: 1, breaker: { failures: 1 } })
    const slow = calls.call(run(), script(status(503)), refuse)
    const queued = run()
    const second = calls.call(queued, script())
    await expect(slow).rejects.toThrow('503')
    await expect(second).rejects.toBeInstanceOf(BreakerOpen)
    expect(queued.left).toBe(0)
  })
})

describe('fetchJson', () => {
  const signal = new AbortController().signal

  it('returns the body and the headers', async () => {
    const url = await listen((_request, response) => response.setHeader('x-cost', '7').end('{"a":1}'))
    const { body, headers } = await fetchJson(url, {}, signal)
    expect(body).toEqual({ a: 1 })
    expect(headers.get('x-cost')).toBe('7')
  })

  it('throws HttpFailure with status, body and headers', async () => {
    const url = await listen((_request, response) => response.writeHead(429, { 'x-left': '0' }).end('slow down'))
    const error = await fetchJson(url, {}, signal).catch(e => e)
    expect(error).toBeInstanceOf(HttpFailure)
    expect([error.status, error.body, error.headers.get('x-left')]).toEqual([429, 'slow down', '0'])
  })

  it('knows that a refused connection did nothing', async () => {
    const url = await listen(() => {})
    await new Promise(resolve => servers.pop()?.close(resolve))
    const error = await fetchJson(url, {}, signal).catch(e => e)
    expect(error).toBeInstanceOf(TransportFailure)
    expect(neverSent(error)).toBe(true)
  })

  it('knows that a connection cut after the request may have done something', async () => {
    const url = await listen(request => request.socket.destroy())
    const error = await fetchJson(url, { method: 'POST', body: 'x' }, signal).catch(e => e)
    expect(error).toMatchObject({ name: 'TransportFailure', left: true })
  })

  it('takes a 200 that is not JSON for a failure of the transport', async () => {
    const url = await listen((_request, response) => response.end('<html>'))
    await expect(fetchJson(url, {}, signal)).rejects.toMatchObject({ name: 'TransportFailure', left: true })
  })
})
