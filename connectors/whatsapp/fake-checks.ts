/**
 * What the Cloud API finds wrong with a message, by its documented limits.
 */
import type { Json } from './fake-messages.ts'

export interface FakeError {
  readonly status: number
  readonly code: number
  readonly message: string
  readonly details: string
}

/** The provider's limits, written down apart from the client's, so that one checks the other. */
const LIMITS = {
  text: 4096,
  body: 1024,
  buttons: 3,
  buttonTitle: 20,
  buttonId: 256,
  sections: 10,
  rows: 10,
  rowTitle: 24,
  rowDescription: 72,
  rowId: 200,
  opaqueBytes: 512,
}

/** The error that a message is refused with; null where nothing is wrong with it. */
export function faultyMessage(body: Json): FakeError | null {
  const { type = 'text', text, interactive } = body
  if (body.messaging_product !== 'whatsapp') return missing('messaging_product')
  if (!filled(body.to) && !filled(body.recipient)) return missing('to')
  if (Buffer.byteLength(body.biz_opaque_callback_data ?? '') > LIMITS.opaqueBytes) return invalid('biz_opaque_callback_data')
  if (body.context !== undefined && !filled(body.context?.message_id)) return invalid('context.message_id')
  if (type === 'text') return within('text.body', text?.body, LIMITS.text)
  if (type === 'template') return filled(body.template?.name) ? null : missing('template.name')
  if (type !== 'interactive') return { status: 400, code: 131051, message: 'Unsupported message type', details: String(type) }
  const wrongBody = within('interactive.body.text', interactive?.body?.text, LIMITS.body)
  if (wrongBody !== null) return wrongBody
  if (interactive.type === 'button') return faultyButtons(interactive.action?.buttons)
  if (interactive.type === 'list') return faultyList(interactive.action)
  return invalid('interactive.type')
}

function faultyButtons(buttons: Json[] | undefined): FakeError | null {
  if (!Array.isArray(buttons) || buttons.length < 1 || buttons.length > LIMITS.buttons) return invalid('action.buttons')
  if (!distinct(buttons.map(button => button.reply?.id))) return invalid('duplicated button ids')
  if (!distinct(buttons.map(button => button.reply?.title))) return invalid('duplicated button titles')
  return first(buttons, ({ reply }, n) => {
    return (
      within(`buttons[${n}].reply.id`, reply?.id, LIMITS.buttonId) ??
      within(`buttons[${n}].reply.title`, reply?.title, LIMITS.buttonTitle)
    )
  })
}

function faultyList(action: Json | undefined): FakeError | null {
  const sections: Json[] = action?.sections ?? []
  const rows: Json[] = sections.flatMap(section => section.rows ?? [])
  if (sections.length < 1 || sections.length > LIMITS.sections) return invalid('action.sections')
  if (sections.length > 1 && !sections.every(section => filled(section.title))) return missing('section.title')
  if (rows.length < 1 || rows.length > LIMITS.rows) return invalid('action.sections.rows')
  if (!distinct(rows.map(row => row.id))) return invalid('duplicated row ids')
  const wrongButton = within('action.button', action?.button, LIMITS.buttonTitle)
  if (wrongButton !== null) return wrongButton
  return first(rows, ({ id, title, description }, n) => {
    return (
      within(`rows[${n}].id`, id, LIMITS.rowId) ??
      within(`rows[${n}].title`, title, LIMITS.rowTitle) ??
      (description === undefined ? null : within(`rows[${n}].description`, description, LIMITS.rowDescription))
    )
  })
}

function first(items: readonly Json[], check: (item: Json, n: number) => FakeError | null): FakeError | null {
  for (const [n, item] of items.entries()) {
    const error = check(item, n)
    if (error !== null) return error
  }
  return null
}

function within(name: string, value: unknown, max: number): FakeError | null {
  if (!filled(value)) return missing(name)
  return value.length <= max ? null : invalid(`${name}: ${value.length} characters, at most ${max}`)
}

function filled(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function distinct(values: readonly unknown[]): boolean {
  return new Set(values).size === values.length
}

function missing(name: string): FakeError {
  return { status: 400, code: 100, message: 'Invalid parameter', details: `The parameter ${name} is required.` }
}

function invalid(details: string): FakeError {
  return { status: 400, code: 131009, message: 'Parameter value is not valid', details }
}
