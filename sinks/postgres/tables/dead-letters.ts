import { deadLetters as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const deadLetters = defineTable({
  name: 'dead_letters',
  key: ['log_partition', 'log_offset'],
  columns: {
    log_partition: 'integer',
    log_offset: 'bigint',
    topic: text,
    partition: 'integer',
    offset: 'bigint',
    key: text,
    record_type: text,
    value: 'bytea',
    bytes: 'integer',
    decision: text,
    cause: text,
    code_version: text,
    at: time,
  },
  from: {
    DeadLetter: {
      topics: [topic],
      rows: (letter, { partition, version }) => ({
        log_partition: partition,
        log_offset: version,
        topic: letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        key: letter.key,
        record_type: letter.recordType,
        value: letter.value,
        bytes: letter.bytes,
        decision: lower(letter.decision),
        cause: letter.cause,
        code_version: letter.codeVersion,
        at: letter.at,
      }),
    },
  },
  // The key of a record on an inbox of conversations.
  conversation: 'key',
  erased: 't.topic = e.topic AND t."offset" < e.version',
  rebuild: 'update',
})
