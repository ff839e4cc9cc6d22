/** Record batches as a fetch brings them, decoded at once. */
import type { TopicPartition } from '../../log.ts'
import { type Aborted, type Decoded, decodeScanned, scanBatches } from '../batch.ts'

/** All records from an offset on. */
export function decodeBatches(where: TopicPartition, bytes: Buffer, from: number, aborted: readonly Aborted[]): Decoded {
  return decodeScanned(where, from, scanBatches(where, bytes, from, aborted))
}
