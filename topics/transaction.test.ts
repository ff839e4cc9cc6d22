import { expect, it } from 'vitest'
import type { Append, Assignment, Position } from './log.ts'
import { TransactionSequence } from './transaction.ts'

const assignment: Assignment = { group: 'g', member: 'm', generation: 3, partitions: [{ topic: 'inbox', partition: 1 }] }
const input: Position = { topic: 'inbox', partition: 1, offset: 7 }
const record: Append = { topic: 'out', key: 'k', value: Buffer.from('v') }

function target(commit: (offsets: readonly Position[]) => Promise<Map<string, number>> = async () => new Map([['out/0', 4]])) {
  const appended: Append[] = []
  const committed: (readonly Position[])[] = []
  return {
    appended,
    committed,
    append: (one: Append) => void appended.push(one),
    commit: (offsets: readonly Position[]) => {
      committed.push(offsets)
      return commit(offsets)
    },
  }
}

it('hands records and the newest offset of each input over to its commit, and its result back', async () => {
  const into = target()
  const transaction = new TransactionSequence().begin(assignment, into)
  transaction.append(record)
  transaction.offsets([input])
  transaction.offsets([{ ...input, offset: 9 }])
  expect(await transaction.commit()).toEqual(new Map([['out/0', 4]]))
  expect(into.appended).toEqual([record])
  expect(into.committed).toEqual([[{ ...input, offset: 9 }]])
})

it('refuses offsets of partitions outside its assignment, and a commit without any', async () => {
  const into = target()
  const sequence = new TransactionSequence()
  const transaction = sequence.begin(assignment, into)
  expect(() => transaction.offsets([{ ...input, partition: 0 }])).toThrow('inbox/0 is not in the assignment')
  await expect(transaction.commit()).rejects.toThrow('at least one input offset')
  expect(into.committed).toEqual([])
  sequence.begin(assignment, into)
})

it('is one at a time: the next begins once it was committed, failed or aborted', async () => {
  const failure = new Error('fenced')
  const into = target(async () => {
    throw failure
  })
  const sequence = new TransactionSequence()
  const failed = sequence.begin(assignment, into)
  expect(() => sequence.begin(assignment, into)).toThrow('group "g": a transaction is open')
  failed.offsets([input])
  await expect(failed.commit()).rejects.toBe(failure)
  const aborted = sequence.begin(assignment, into)
  await aborted.abort()
  expect(() => aborted.append(record)).toThrow('has ended')
  await expect(aborted.commit()).rejects.toThrow('has ended')
  sequence.begin(assignment, into)
})

it('cannot be aborted, nor another begun, while it is being committed', async () => {
  const done = Promise.withResolvers<Map<string, number>>()
  const sequence = new TransactionSequence()
  const transaction = sequence.begin(
    assignment,
    target(() => done.promise),
  )
  transaction.offsets([input])
  const committing = transaction.commit()
  await expect(transaction.abort()).rejects.toThrow('can no longer be aborted')
  expect(() => sequence.begin(assignment, target())).toThrow('a transaction is open')
  expect(() => transaction.append(record)).toThrow('has ended')
  done.resolve(new Map())
  await committing
  sequence.begin(assignment, target())
})
