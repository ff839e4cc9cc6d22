/**
 * Everything that customers read, as data: `words/<language>.json` has the variants of every phrase, with {placeholders}.
 */
import en from './words/en.json' with { type: 'json' }
import th from './words/th.json' with { type: 'json' }

export type Language = 'en' | 'th'
export type PhraseKey = keyof typeof en
export type Values = Readonly<Record<string, string | number>>

const PHRASES: Readonly<Record<Language, Readonly<Record<PhraseKey, readonly string[]>>>> = { en, th }

/**
 * The text of a phrase.
 * @param turn chooses among its variants: the same turn gives the same text
 * @throws when a placeholder has no value
 */
export function phrase(language: Language, key: PhraseKey, values: Values = {}, turn = 0): string {
  const variants = PHRASES[language][key]
  const text = variants[turn % variants.length] as string
  return text.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name]
    if (value === undefined) throw new Error(`phrase "${key}" needs a value for {${name}}`)
    return String(value)
  })
}

export function isLanguage(text: string | null): text is Language {
  return text === 'en' || text === 'th'
}

const TITLES = /^(mr|mrs|ms|miss|dr|khun|k)\.?\s+|^คุณ\s*|^(นางสาว|นาง|นาย)\s+/i

/** How to address a person: by the first name, without a title. */
export function firstName(name: string): string {
  const bare = name.trim().replace(TITLES, '')
  return bare.split(/\s+/)[0] || name.trim()
}
