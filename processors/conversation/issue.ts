/** Issues: what a human must take care of, from the handover to its end. */
import type { SupportHours } from '../../domain/support-hours.ts'
import type { IssueInput } from '../../schemas/types.ts'
import { issues } from '../../topics/catalog.ts'
import { dueAt } from './handover.ts'
import type { State, TurnContext } from './context.ts'

type Issue = Omit<IssueInput, 'updatedAt'>

/** The open issue of a state; null if nothing is handed over. */
export function openIssue(state: State, conversation: string, hours: SupportHours): Issue | null {
  const { handover, owner, assignee, channel, venue, venueName, issue } = state
  if (handover === null) return null
  const { first, department, priority, reason, at, respondedAt } = handover
  return {
    id: first,
    conversation,
    channel,
    venue,
    venueName,
    department,
    priority,
    reason,
    text: issue,
    status: owner === 'AGENT' ? 'ACKNOWLEDGED' : 'OPEN',
    assignee,
    openedAt: at,
    dueAt: dueAt(priority, at, hours),
    respondedAt,
  }
}

/** Publishes changes of the issue. @param endedBy who ended the previous one; null if nobody did */
export function publishIssue(context: TurnContext, before: Issue | null, after: Issue | null, endedBy: string | null): void {
  const { now } = context
  if (before !== null && before.id !== after?.id) {
    const ended = { ...before, status: 'RESOLVED', resolvedAt: now, resolvedBy: endedBy, updatedAt: now } as const
    context.emit(issues, before.id, 'Issue', ended)
  }
  if (after !== null && JSON.stringify(after) !== JSON.stringify(before)) {
    context.emit(issues, after.id, 'Issue', { ...after, updatedAt: now })
  }
}
