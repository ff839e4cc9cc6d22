/**
 * The form of a message on a channel: choices as buttons, as a list or in the text, and long text in several messages.
 *
 *   few choices ─▶ buttons      more ─▶ list      too many, or a channel without either ─▶ in the text
 */
import type { ChannelLimits } from '../../domain/channel.ts'
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'

/** Text that would need more messages than this is cut. */
const MAX_PARTS = 10

export type Form = 'text' | 'buttons' | 'list'

/** How these choices are shown. */
export function formOf(choices: readonly ReplyButton[], { buttons, list }: ChannelLimits): Form {
  if (choices.length === 0) return 'text'
  if (buttons !== null && choices.length <= buttons.most) {
    // Buttons need titles that differ, and two long ones may be cut to the same.
    const titles = new Set(choices.map(({ title }) => cut(title, buttons.titleChars)))
    if (titles.size === choices.length) return 'buttons'
  }
  return list !== null && choices.length <= list.most ? 'list' : 'text'
}

/**
 * A message as the messages that the channel takes, in order. The last one has the id of the whole, its choices where they are shown,
 * and stands for it; those before it have ids of their own. What they say together is the whole text.
 */
export function inParts(message: SendMessage, limits: ChannelLimits): SendMessage[] {
  const { id, buttons, replyTo } = message
  const form = formOf(buttons, limits)
  const shown = form === 'text' ? [] : buttons
  const text = form === 'text' ? withChoices(message.text, buttons) : message.text
  const whole = cut(text, MAX_PARTS * limits.textChars)
  const texts = split(whole, limits.textChars, form === 'text' ? limits.textChars : limits.textWithChoicesChars)
  return texts.map((part, n) => {
    const last = n === texts.length - 1
    return {
      ...message,
      id: last ? id : `${id}/${n + 1}`,
      text: part,
      buttons: last ? shown : [],
      replyTo: n === 0 ? replyTo : null,
    }
  })
}

/** The text in at most `most` UTF-16 units: an ellipsis stands for what is left out. */
export function cut(text: string, most: number): string {
  return text.length <= most ? text : `${withoutHalf(text.slice(0, most - 1))}…`
}

/** Choices that the text does not name already, on a line below it. */
function withChoices(text: string, choices: readonly ReplyButton[]): string {
  const missing = choices.map(({ title }) => title).filter(title => !text.includes(title))
  return missing.length === 0 ? text : `${text}\n${missing.join(' · ')}`
}

/** Splits at the end of a paragraph, a line or a word where there is one in the second half of what fits. */
function split(text: string, most: number, mostOfLast: number): string[] {
  const parts: string[] = []
  let rest = text
  while (rest.length > mostOfLast) {
    // What fits one message, but not the last one, leaves the last something to say.
    const room = rest.length > most ? most : rest.length - Math.ceil(Math.min(mostOfLast, rest.length) / 2)
    const head = withoutHalf(rest.slice(0, room))
    const end = ['\n\n', '\n', ' '].map(sign => head.lastIndexOf(sign)).find(at => at > room / 2) ?? head.length
    parts.push(rest.slice(0, end).trimEnd())
    rest = rest.slice(end).trimStart()
  }
  return [...parts, rest]
}

/** Without the first half of a character at its end. */
function withoutHalf(text: string): string {
  return text.replace(/[\ud800-\udbff]$/, '')
}
