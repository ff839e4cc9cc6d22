import { expect, test } from 'vitest'
import { partitionKey, type Position } from '../log.ts'
import { FetchSession } from './session.ts'

const A = { topic: 'venue.inbox', partition: 0 }
const B = { topic: 'venue.inbox', partition: 1 }

function wanted(...of: readonly Position[]) {
  return new Map(of.map(one => [partitionKey(one), one]))
}

const answer = (session: number, errorCode = 0) => ({ session, errorCode, partitions: [] })

test('a session starts with all partitions, and continues with what has changed', () => {
  const session = new FetchSession()
  const both = wanted({ ...A, offset: 3 }, { ...B, offset: 4 })
  expect(session.next(both)).toMatchObject({ session: 0, epoch: 0, wanted: [...both.values()], forgotten: [] })
  expect(session.answered(answer(77))).toBe(true)
  expect(session.next(both)).toMatchObject({ session: 77, epoch: 1, wanted: [], forgotten: [] })
  session.answered(answer(77))
  const moved = wanted({ ...A, offset: 5 })
  const request = session.next(moved)
  expect(request).toMatchObject({ session: 77, epoch: 2, wanted: [{ ...A, offset: 5 }], forgotten: [B] })
  expect(request.offset(A)).toBe(5)
  session.answered(answer(77))
  expect(session.next(both)).toMatchObject({ epoch: 3, wanted: [...both.values()], forgotten: [] })
})

test('a session that the broker has forgotten, or whose state is unknown, is restarted', () => {
  const session = new FetchSession()
  const both = wanted({ ...A, offset: 3 }, { ...B, offset: 4 })
  const anew = { session: 0, epoch: 0, wanted: [...both.values()] }
  for (const code of [70, 71]) {
    session.next(both)
    session.answered(answer(77))
    session.next(both)
    expect(session.answered(answer(0, code))).toBe(false)
    expect(session.next(both)).toMatchObject(anew)
    session.reset()
  }
  session.next(both)
  session.answered(answer(77))
  session.reset()
  expect(session.next(both)).toMatchObject(anew)
})

test('when the broker keeps no session, each request is complete', () => {
  const session = new FetchSession()
  const one = wanted({ ...A, offset: 3 })
  for (let i = 0; i < 3; i++) {
    expect(session.next(one)).toMatchObject({ session: 0, epoch: 0, wanted: [...one.values()] })
    session.answered(answer(0))
  }
})

test('any other error code is an error', () => {
  const session = new FetchSession()
  session.next(wanted({ ...A, offset: 3 }))
  expect(() => session.answered(answer(0, 70))).toThrow('70')
  session.next(wanted({ ...A, offset: 3 }))
  session.answered(answer(77))
  session.next(wanted({ ...A, offset: 3 }))
  expect(() => session.answered(answer(0, 58))).toThrow('58')
})
