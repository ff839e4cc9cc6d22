/** Topics by what they carry: a new channel's inbox is projected as soon as the catalog has it. */
import type { RecordName } from '../schemas/types.ts'
import { allTopics, type Topic } from '../topics/catalog.ts'

export function topicsWith(record: RecordName): Topic[] {
  return allTopics().filter(({ records }) => records.includes(record))
}

/** The inbox of every channel's connector. */
export const channelInboxes: readonly Topic[] = topicsWith('SendMessage')
