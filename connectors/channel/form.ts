/**
 * The form of a message on a channel: choices as buttons, as a list or in the text; long text in several parts.
 *
 *   few choices ─▶ buttons      more ─▶ list      too many, or a channel without either ─▶ in the text
 */
import { cut, withoutHalf } from '../../domain/text.ts'
import type { ChannelLimits } from '../../domain/channel.ts'
import type { ReplyButton, SendMessage } from '../../schemas/types.ts'

/** Text that would need more parts than this is cut. */
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
 * A message as the parts that the channel takes, in order. All have the id of the whole. The last one shows its choices, the first one
 * what it answers. What they say together is the whole text, apart from blanks where it was split.
 */
export function inParts(message: SendMessage, limits: ChannelLimits): SendMessage[] {
  const { buttons, replyTo } = message
  const form = formOf(buttons, limits)
  const shown = form === 'text' ? [] : buttons
  const text = form === 'text' ? withChoices(message.text, buttons) : message.text
  const texts = split(text.trim(), limits.textChars, form === 'text' ? limits.textChars : limits.textWithChoicesChars)
  return texts.map((part, n) => {
    const last = n === texts.length - 1
    return { ...message, text: part, buttons: last ? shown : [], replyTo: n === 0 ? replyTo : null, more: !last }
  })
}

/** Choices that the text does not name: those after a numbered list go on with its numbers, others are on a line below the text. */
function withChoices(text: string, choices: readonly ReplyButton[]): string {
  const titles = choices.map(({ title }) => title)
  const lines = text.trimEnd().split('\n')
  // More about a choice may follow its title.
  const listed = titles.map((title, n) => lines.findIndex(line => line.startsWith(`${n + 1}. ${title}`)))
  const first = listed.indexOf(-1)
  if (first > 0) {
    const rest = titles.slice(first).map((title, n) => `${first + n + 1}. ${title}`)
    return lines.toSpliced((listed[first - 1] as number) + 1, 0, ...rest).join('\n')
  }
  const missing = titles.filter(title => !text.includes(title))
  return missing.length === 0 ? text : `${text.trimEnd()}\n${missing.join(' · ')}`
}

/**
 * Splits at the end of a paragraph, a line or a word where there is one in the second half of what fits. No part is empty, unless
 * the text is; of more than MAX_PARTS the rest is left out, which an ellipsis shows.
 */
function split(text: string, most: number, mostOfLast: number): string[] {
  const parts: string[] = []
  let rest = text
  while (rest.length > mostOfLast && parts.length < MAX_PARTS - 1) {
    // What fits one message, but not the last one, leaves the last something to say.
    const room = rest.length > most ? most : rest.length - Math.ceil(Math.min(mostOfLast, rest.length) / 2)
    const head = withoutHalf(rest.slice(0, room))
    const end = ['\n\n', '\n', ' '].map(sign => head.lastIndexOf(sign)).find(at => at > room / 2) ?? head.length
    parts.push(rest.slice(0, end).trimEnd())
    rest = rest.slice(end).trimStart()
  }
  return [...parts, cut(rest, mostOfLast)]
}
