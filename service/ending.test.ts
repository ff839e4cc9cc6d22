import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Ending } from './ending.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function ending() {
  const stopped = Promise.withResolvers<void>()
  const options = { stop: vi.fn((_partMs?: number) => stopped.promise), say: vi.fn(), exit: vi.fn(), kill: vi.fn() }
  return { ...options, stopped, it: new Ending(options) }
}

describe('a process that is asked to end', () => {
  it('stops with as much time as it needs, and exits with 0', async () => {
    const { it: process, stop, stopped, exit, kill } = ending()
    process.asked('SIGTERM')
    process.asked('SIGINT')
    await vi.advanceTimersByTimeAsync(60_000)
    expect([stop.mock.calls, exit.mock.calls, kill.mock.calls]).toEqual([[[undefined]], [], []])
    stopped.resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(exit.mock.calls).toEqual([[0]])
  })

  it('that fails meanwhile exits with 1, and is not waited for any longer', async () => {
    const { it: process, stop, stopped, exit, kill } = ending()
    process.asked('SIGTERM')
    process.failed('the log closed itself', new Error('EIO'))
    expect(stop).toHaveBeenCalledTimes(1)
    stopped.resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(exit.mock.calls).toEqual([[1]])
    await vi.advanceTimersByTimeAsync(8_000)
    expect(kill).toHaveBeenCalledTimes(1)
  })
})

describe('a process that cannot go on', () => {
  it('says why, stops each part for a moment, and exits with 1', async () => {
    const { it: process, say, stop, stopped, exit } = ending()
    const error = new Error('EIO')
    process.failed('the log closed itself', error)
    expect(say.mock.calls).toEqual([['the log closed itself: stopping, to be started anew', error]])
    expect(stop.mock.calls).toEqual([[1_500]])
    stopped.resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(exit.mock.calls).toEqual([[1]])
  })

  it('says what fails while it stops, and stops once', () => {
    const { it: process, say, stop } = ending()
    process.failed('first', new Error('1'))
    process.failed('second', new Error('2'))
    process.asked('SIGTERM')
    expect([say.mock.calls.length, stop.mock.calls.length]).toEqual([2, 1])
  })

  it('is killed when it has not stopped after seconds', async () => {
    const { it: process, exit, kill } = ending()
    process.failed('hangs', new Error('x'))
    await vi.advanceTimersByTimeAsync(7_999)
    expect(kill).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    expect([kill.mock.calls.length, exit.mock.calls.length]).toEqual([1, 0])
  })

  it('exits with 1 when stopping itself fails', async () => {
    const { it: process, stopped, exit, say } = ending()
    process.asked('SIGTERM')
    stopped.reject(new Error('no'))
    await vi.advanceTimersByTimeAsync(0)
    expect(exit.mock.calls).toEqual([[1]])
    expect(say).toHaveBeenLastCalledWith(expect.stringContaining('stopping failed'), expect.any(Error))
  })
})

describe('a real process', () => {
  const of = async (code: string) => {
    const script = `import { Ending } from ${JSON.stringify(join(import.meta.dirname, 'ending.ts'))}
      const say = (why, error) => console.error(why, error?.message ?? '')
      new Ending({ stop: async ms => console.error('stopped within', ms), say }).listen()
      setInterval(() => {}, 1_000)
      ${code}`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', chunk => (said += chunk))
    const [exitCode] = await once(child, 'close')
    return { code: exitCode, said }
  }

  it.each([
    ['a rejection that nobody has handled', "void Promise.reject(new Error('unheard'))"],
    ['an error that nobody has caught', "setImmediate(() => { throw new Error('unheard') })"],
  ])('ends with 1 after %s, in order', async (what, code) => {
    const ended = await of(code)
    expect(ended.code).toBe(1)
    expect(ended.said).toContain(`${what}: stopping, to be started anew unheard`)
    expect(ended.said).toContain('stopped within 1500')
  })

  it('ends with 0 for SIGTERM', async () => {
    expect(await of("process.kill(process.pid, 'SIGTERM')")).toEqual({
      code: 0,
      said: 'SIGTERM: stopping \nstopped within undefined\n',
    })
  })
})
