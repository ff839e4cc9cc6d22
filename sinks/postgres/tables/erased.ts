/** SQL over an erasure `e` and a row `t`, for what tables say of which rows it deletes. */
import { ASKED_BY } from '../../../engine/headers.ts'
import { conversationInbox } from '../../../topics/catalog.ts'

/** Whether the order lies on the conversation's inbox; otherwise on the inbox of its channel. */
export const ON_CONVERSATION_INBOX = `e.topic = '${conversationInbox.name}'`

/** The digest that record ids refer to a message by: `reference()` of domain/ids.ts. */
export const digestOf = (column: string) => `left(encode(sha256(convert_to(${column}, 'UTF8')), 'hex'), 20)`

/** The offset of the record that a lookup was made for, whenever it was handled. */
export const ASKED_FOR = `split_part(t.headers->>'${ASKED_BY}', '.', 1)::bigint`

/** Whether this digest is that of a message erased before, which its provider has delivered again. */
export const erasedBefore = (digest: string) =>
  `EXISTS (SELECT 1 FROM erased_messages r WHERE r.conversation_id = e.conversation_id AND r.ref = ${digest})`
