/**
 * The one way to alert support. An alert has the key of the actor that raises it, so that what is said of it later comes later.
 */
import { type AlertKind, DEFAULT_DEPARTMENT } from '../domain/alerts.ts'
import type { AlertInput } from '../schemas/types.ts'
import { alerts } from './catalog.ts'

/** What is needed of a handler's context. */
export interface AlertContext {
  readonly key: string
  readonly now: number
  emit(topic: typeof alerts, key: string, type: 'Alert', record: AlertInput): unknown
}

/** An alert, for the default department unless it names another. Its text holds no personal data. */
export type NewAlert = Omit<AlertInput, 'at' | 'resolved' | 'department' | 'kind'> &
  Partial<Pick<AlertInput, 'department'>> & { readonly kind: AlertKind }

/** Raises an alert, or gives the one of the same id newer words. */
export function raiseAlert(context: AlertContext, alert: NewAlert): void {
  emit(context, alert, false)
}

/** Reports that what an alert was about is over. */
export function resolveAlert(context: AlertContext, alert: NewAlert): void {
  emit(context, alert, true)
}

function emit(context: AlertContext, alert: NewAlert, resolved: boolean): void {
  const { key, now } = context
  context.emit(alerts, key, 'Alert', { department: DEFAULT_DEPARTMENT, ...alert, resolved, at: now })
}
