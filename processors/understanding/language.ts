/** Thai or English, of messages that mix them. */
import { normalise, words } from './normalize.ts'
import english from './words/english.json' with { type: 'json' }

export type Language = 'th' | 'en'

const ENGLISH = new Set(english)
/** Share of Thai letters from which a text is Thai, and up to which Thai is only a name in it. */
const THAI_FROM = 0.6
const THAI_NAME = 0.3

/** The language of a text. If the text does not tell ("ok", "Edge", "1"), the remembered one, or English. */
export function languageOf(text: string, remembered: string | null): Language {
  const known = remembered === 'th' || remembered === 'en' ? remembered : null
  const plain = normalise(text)
  const thai = plain.match(/[\u0e01-\u0e4e]/g)?.length ?? 0
  const latin = plain.match(/[a-z]/g)?.length ?? 0
  const said = words(plain).filter(word => ENGLISH.has(word)).length
  if (thai === 0) return said > 0 ? 'en' : (known ?? 'en')
  const share = thai / (thai + latin)
  if (share >= THAI_FROM || said === 0) return 'th'
  if (share <= THAI_NAME && said >= 2) return 'en'
  return known ?? (said >= 3 ? 'en' : 'th')
}
