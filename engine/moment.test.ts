import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { Moment } from './moment.ts'

it('ends what is waited for beside it, before and after it has come', async () => {
  const moment = new Moment()
  expect(await moment.or(Promise.resolve(1))).toBe(1)
  await expect(moment.or(Promise.reject(new Error('no')))).rejects.toThrow('no')
  const late = Promise.withResolvers<number>()
  const waits = moment.or(late.promise)
  moment.come()
  expect([await waits, moment.over, await moment.or(new Promise(() => {}))]).toEqual([null, true, null])
  late.reject(new Error('nobody hears of it'))
  await turn()
  expect(moment.waiting).toBe(0)
})

it('keeps nothing of what has been waited for', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const moment = new Moment()
  const read: WeakRef<object>[] = []
  for (let n = 0; n < 20; n++) {
    const found = await moment.or(Promise.resolve({ records: new Array(1_000).fill(n) }))
    read.push(new WeakRef(found as object))
  }
  await turn()
  collect()
  await turn()
  expect(moment.waiting).toBe(0)
  expect(read.slice(0, -1).filter(ref => ref.deref() !== undefined)).toEqual([])
})
