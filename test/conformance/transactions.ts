import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_RECORD_BYTES } from '../../topics/log.ts'
import { append, codeOf, join, type Kit, newGroup, newTopic, readAll, recordsOf, texts } from './harness.ts'

/** Inputs, outputs and changelog of a worker, and a member that commits to them. */
async function world(kit: Kit) {
  const [inbox, outputs, changelog] = [newTopic({ partitions: 1 }), newTopic(), newTopic({ cleanup: 'compact' })]
  const opened = await kit.open(inbox, outputs, changelog)
  const group = newGroup()
  const member = await join(opened.log, group, inbox)
  const at = { topic: inbox.name, partition: 0 }
  const everything = async (log = opened.log) => ({
    outputs: texts(await readAll(log, outputs)),
    changelog: texts(await readAll(log, changelog)),
    offset: (await log.groupOffsets(group)).find(({ topic }) => topic === inbox.name)?.offset,
  })
  return { opened, log: opened.log, group, inbox, outputs, changelog, at, member, everything }
}

/** Exactly once inside the log: all of a transaction or nothing, and only by the current member of the group. */
export function transactions(kit: Kit): void {
  describe('a transaction', () => {
    it('makes outputs, changelog and input offsets visible together, and returns the last offsets', async () => {
      const { log, outputs, changelog, at, member, everything } = await world(kit)
      const { membership, assignment } = member
      const transaction = membership.begin(assignment)
      transaction.append(append(outputs, 'k', 'out 1', { partition: 1 }))
      transaction.append(append(outputs, 'k', 'out 2', { partition: 1 }))
      transaction.append(append(changelog, 'k', 'state', { partition: 2 }))
      transaction.offsets([{ ...at, offset: 7 }])
      const last = await transaction.commit()
      expect(await everything()).toEqual({ outputs: ['out 1', 'out 2'], changelog: ['state'], offset: 7 })
      const [, second] = await readAll(log, outputs, 1)
      const [state] = await readAll(log, changelog, 2)
      expect(last).toEqual(
        new Map([
          [`${outputs.name}/1`, second!.offset],
          [`${changelog.name}/2`, state!.offset],
        ]),
      )
      expect(await membership.committed([at])).toEqual([{ ...at, offset: 7 }])
      await membership.leave()
    })

    it('is not visible while it is open, nor after it was aborted', async () => {
      const { log, outputs, at, member, everything } = await world(kit)
      const { membership, assignment } = member
      const transaction = membership.begin(assignment)
      transaction.append(append(outputs, 'k', 'dropped', { partition: 0 }))
      transaction.offsets([{ ...at, offset: 1 }])
      expect(await everything()).toEqual({ outputs: [], changelog: [], offset: undefined })
      await log.append([append(outputs, 'k', 'from outside', { partition: 1 })])
      await transaction.abort()
      const next = membership.begin(assignment)
      next.append(append(outputs, 'k', 'kept', { partition: 0 }))
      next.offsets([{ ...at, offset: 2 }])
      await next.commit()
      expect(await everything()).toEqual({ outputs: ['kept', 'from outside'], changelog: [], offset: 2 })
      await membership.leave()
    })

    it('wakes a reader with all of it at its commit, not before', async () => {
      const { log, outputs, at, member } = await world(kit)
      const { membership, assignment } = member
      const waiting = log.read({ topic: outputs.name, partition: 0 }, 0, { wait: 20_000 })
      const transaction = membership.begin(assignment)
      for (const text of ['a', 'b', 'c']) transaction.append(append(outputs, 'k', text, { partition: 0 }))
      transaction.offsets([{ ...at, offset: 3 }])
      await transaction.commit()
      expect(texts((await waiting).records)).toEqual(['a', 'b', 'c'])
      await membership.leave()
    })

    it('may commit offsets alone, the present ones again too', async () => {
      const { at, member } = await world(kit)
      const { membership, assignment } = member
      for (const offset of [4, 4]) {
        const transaction = membership.begin(assignment)
        transaction.offsets([{ ...at, offset }])
        expect(await transaction.commit()).toEqual(new Map())
      }
      expect(await membership.committed([at])).toEqual([{ ...at, offset: 4 }])
      await membership.leave()
    })

    it('is refused without an input offset, because that is its fence', async () => {
      const { outputs, member, everything } = await world(kit)
      const { membership, assignment } = member
      const transaction = membership.begin(assignment)
      transaction.append(append(outputs, 'k', 'unfenced'))
      await expect(transaction.commit()).rejects.toThrow('at least one input offset')
      expect(await everything()).toEqual({ outputs: [], changelog: [], offset: undefined })
      await membership.leave()
    })

    it('is one at a time', async () => {
      const { member } = await world(kit)
      const { membership, assignment } = member
      const transaction = membership.begin(assignment)
      expect(() => membership.begin(assignment)).toThrow()
      await transaction.abort()
      await membership.begin(assignment).abort()
      await membership.leave()
    })

    it('refuses a record that is too large', async () => {
      const { outputs, member } = await world(kit)
      const { membership, assignment } = member
      const transaction = membership.begin(assignment)
      const value = Buffer.alloc(MAX_RECORD_BYTES + 1)
      expect(await codeOf(() => transaction.append(append(outputs, 'k', null, { value })))).toBe('too_large')
      await transaction.abort()
      await membership.leave()
    })

    it('is fenced when its member has left and another has joined', async () => {
      const { log, group, inbox, outputs, at, member, everything } = await world(kit)
      const before = member.membership.begin(member.assignment)
      before.append(append(outputs, 'k', 'of the past'))
      before.offsets([{ ...at, offset: 9 }])
      await member.membership.leave()
      const successor = await join(log, group, inbox)
      expect(await codeOf(before.commit())).toBe('fenced')
      const stale = successor.membership.begin(member.assignment)
      stale.append(append(outputs, 'k', 'under the old generation'))
      stale.offsets([{ ...at, offset: 9 }])
      expect(await codeOf(stale.commit())).toBe('fenced')
      await successor.membership.fence()
      expect(await everything()).toEqual({ outputs: [], changelog: [], offset: undefined })
      const own = successor.membership.begin(successor.assignment)
      own.append(append(outputs, 'k', 'of the present'))
      own.offsets([{ ...at, offset: 1 }])
      await own.commit()
      expect(await everything()).toEqual({ outputs: ['of the present'], changelog: [], offset: 1 })
      await successor.membership.leave()
    })

    it('reads, decides and commits exactly once over any mix of commits, aborts and restarts of the member', {
      timeout: 60_000,
    }, async () => {
      const step = fc.record({
        inputs: fc.nat({ max: 3 }),
        take: fc.integer({ min: 1, max: 4 }),
        end: fc.constantFrom('commit', 'commit', 'abort', 'leave'),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async steps => {
          const { log, group, inbox, outputs, changelog, at, everything, ...first } = await world(kit)
          let { member } = first
          let appended = 0
          let done = 0
          member.start()
          for (const { inputs, take, end } of steps) {
            if (inputs > 0) await log.append(Array.from({ length: inputs }, () => append(inbox, 'k', `${appended++}`)))
            const records = recordsOf(await member.poll({ max: take, wait: 0 }))
            if (records.length === 0) continue
            const transaction = member.membership.begin(member.assignment)
            for (const { value } of records) transaction.append(append(outputs, 'k', `${value}`))
            transaction.append(append(changelog, 'k', `${done + records.length}`))
            transaction.offsets([{ ...at, offset: records.at(-1)!.offset + 1 }])
            if (end === 'commit') {
              await transaction.commit()
              done += records.length
              continue
            }
            if (end === 'abort') await transaction.abort()
            await member.membership.leave()
            member = await join(log, group, inbox)
            const [position] = await member.membership.committed([at])
            member.start(position ?? at)
          }
          const seen = await everything()
          expect(seen.outputs).toEqual(Array.from({ length: done }, (_, i) => `${i}`))
          expect(seen.changelog.at(-1)).toBe(done === 0 ? undefined : `${done}`)
          await member.membership.leave()
        }),
        { numRuns: 15 },
      )
    })
  })

  describe('committed offsets', () => {
    it('are absent until the first commit, and only those that were requested', async () => {
      const { at, member } = await world(kit)
      expect(await member.membership.committed([at])).toEqual([])
      const transaction = member.membership.begin(member.assignment)
      transaction.offsets([{ ...at, offset: 3 }])
      await transaction.commit()
      expect(await member.membership.committed([])).toEqual([])
      expect(await member.membership.committed([at])).toEqual([{ ...at, offset: 3 }])
      await member.membership.leave()
    })

    it('belong to their group', async () => {
      const { log, group, at, member } = await world(kit)
      const transaction = member.membership.begin(member.assignment)
      transaction.offsets([{ ...at, offset: 3 }])
      await transaction.commit()
      expect(await log.groups()).toContain(group)
      expect(await log.groupOffsets(group)).toEqual([{ ...at, offset: 3 }])
      expect(await log.groupOffsets(newGroup())).toEqual([])
      await member.membership.leave()
    })
  })
}
