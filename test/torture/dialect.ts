/**
 * The oracle knows schemas by ids of its own, and only those of the present code; the log's are those of the registry. This reads
 * the log as if all of it had been written with the oracle's ids.
 */
import type { Codec } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'
import { codec, topics } from './actor.ts'
import type { Readable } from './evidence.ts'

const NOTHING = Buffer.alloc(0)
const idOf = (value: Buffer) => value.readUInt32BE(1)

/** @param written the codec of the log, by the registry's ids */
export function inOwnIds(log: Readable, written: Codec): Readable {
  const own = new Map<number, number>()
  for (const { name, records } of topics) {
    for (const record of records) own.set(idOf(written.wrap(name, record, NOTHING)), idOf(codec.wrap(name, record, NOTHING)))
  }
  const translated = async (topic: string, value: Buffer): Promise<Buffer> => {
    await written.prepare([{ value } as LogRecord])
    const id = own.get(idOf(value))
    if (id === undefined) {
      const { type, value: decoded } = written.decode(value)
      return codec.encode(topic, type, decoded as never)
    }
    if (written.typeOf(value) === 'DeadLetter') {
      // It holds the record that it is of, as it came.
      const letter = written.decode(value).value as { topic: string; value: Buffer }
      return codec.encode(topic, 'DeadLetter', { ...letter, value: await translated(letter.topic, letter.value) } as never)
    }
    const same = Buffer.from(value)
    same.writeUInt32BE(id, 1)
    return same
  }
  return {
    ends: topic => log.ends(topic),
    groupOffsets: group => log.groupOffsets(group),
    read: async (at, from, options) => {
      const read = await log.read(at, from, options)
      const records: LogRecord[] = []
      for (const record of read.records) {
        const value = record.value === null ? null : await translated(at.topic, record.value)
        records.push({ ...record, value })
      }
      return { ...read, records }
    },
  }
}
