/**
 * A setting: an environment variable with its description, its default and how it is read. Settings come in sections; a connector's
 * section lies beside the connector. Whatever lists settings, such as the reference page, reads these declarations.
 */
import { readFileSync } from 'node:fs'

export type Environment = Readonly<Record<string, string | undefined>>

export interface Setting<T = unknown> {
  readonly name: string
  readonly description: string
  /** As a person would write it; null where there is none. */
  readonly default: string | null
  /** Never shown or logged. Every setting, secret or not, may also be given as a file, by `NAME_FILE`. */
  readonly secret: boolean
  /** @param text null where it is not set. @throws {Invalid} */
  readonly parse: (text: string | null) => T
}

/** What is wrong with a setting: the rest of a sentence that begins with its name. */
export class Invalid extends Error {}

interface About {
  readonly secret?: boolean
  readonly default?: string
}

export function text(name: string, description: string, about: About & { default: string }): Setting<string>
export function text(name: string, description: string, about?: About): Setting<string | null>
export function text(
  name: string,
  description: string,
  { secret = false, default: otherwise }: About = {},
): Setting<string | null> {
  return { name, description, default: otherwise ?? null, secret, parse: given => given ?? otherwise ?? null }
}

export function secret(name: string, description: string): Setting<string | null> {
  return text(name, description, { secret: true })
}

export function number(name: string, otherwise: number, least: number, most: number, description: string): Setting<number>
export function number(name: string, otherwise: null, least: number, most: number, description: string): Setting<number | null>
export function number(
  name: string,
  otherwise: number | null,
  least: number,
  most: number,
  description: string,
): Setting<number | null> {
  const parse = (given: string | null) => {
    if (given === null) return otherwise
    const parsed = Number(given)
    if (Number.isFinite(parsed) && parsed >= least && parsed <= most) return parsed
    throw new Invalid(`is "${given}"; it must be a number from ${least} to ${most}`)
  }
  return { name, description, default: otherwise === null ? null : String(otherwise), secret: false, parse }
}

export function oneOf<const T extends string, const D extends T | null>(
  name: string,
  otherwise: D,
  values: readonly T[],
  description: string,
): Setting<T | D> {
  const parse = (given: string | null): T | D => {
    if (given === null) return otherwise
    const found = values.find(value => value === given)
    if (found !== undefined) return found
    throw new Invalid(`is "${given}"; it must be one of ${values.join(', ')}`)
  }
  return { name, description, default: otherwise, secret: false, parse }
}

/** On, unless it is empty, 0, false, off or no. */
export function flag(name: string, description: string): Setting<boolean> {
  const parse = (given: string | null) => !['', '0', 'false', 'off', 'no'].includes(given?.toLowerCase() ?? '')
  return { name, description, default: 'off', secret: false, parse }
}

/** As a flag; null where it is not set. */
export function optionalFlag(name: string, description: string): Setting<boolean | null> {
  const { parse } = flag(name, description)
  return { name, description, default: null, secret: false, parse: given => (given === null ? null : parse(given)) }
}

export function list(name: string, description: string): Setting<string[]> {
  const parse = (given: string | null) =>
    (given ?? '')
      .split(',')
      .map(item => item.trim())
      .filter(item => item !== '')
  return { name, description, default: null, secret: false, parse }
}

/** A URL, which is a secret where it may hold a password. @param protocols with their colon, such as `https:` */
export function address(
  name: string,
  protocols: readonly string[],
  description: string,
  { secret = false }: Pick<About, 'secret'> = {},
): Setting<string | null> {
  const parse = (given: string | null) => {
    if (given === null || (URL.canParse(given) && protocols.includes(new URL(given).protocol))) return given
    throw new Invalid(`must be a URL starting with ${protocols.map(p => `${p}//`).join(' or ')}`)
  }
  return { name, description, default: null, secret, parse }
}

type Declared = Readonly<Record<string, Setting>>
type ValuesOf<D extends Declared> = { readonly [K in keyof D]: D[K] extends Setting<infer T> ? T : never }

/** Settings that belong together, and what is made of them. */
export interface Section<T> {
  /** As an error names what is configured only in part. */
  readonly title: string
  readonly settings: readonly Setting[]
  /** Names of those without which it is not configured. */
  readonly required: readonly string[]
  /** Null where it is not configured. What is wrong goes to `problems`, each with the name of its setting. */
  read(environment: Environment, problems: string[]): T
}

/** A section that is always there. @param check adds what is wrong with values that are good by themselves */
export function section<D extends Declared>(
  title: string,
  declared: D,
  check: (values: ValuesOf<D>, problems: string[]) => void = () => {},
): Section<ValuesOf<D>> {
  const read = (environment: Environment, problems: string[]) => {
    const values = valuesOf(declared, environment, problems)
    check(values, problems)
    return values
  }
  return { title, settings: Object.values(declared), required: [], read }
}

type Given<D extends Declared, R extends keyof D> = Omit<ValuesOf<D>, R> & {
  readonly [K in R]: Exclude<ValuesOf<D>[K], null>
}

/** A section that is configured by some of its settings: all of them or none. */
export function optionalSection<D extends Declared, const R extends keyof D & string>(
  title: string,
  declared: D,
  required: readonly R[],
  check: (values: Given<D, R>, problems: string[]) => void = () => {},
): Section<Given<D, R> | null> {
  const named = required.map(key => (declared[key] as Setting).name)
  const isGiven = (values: ValuesOf<D>): values is ValuesOf<D> & Given<D, R> => required.every(key => values[key] !== null)
  const read = (environment: Environment, problems: string[]) => {
    const wrong: string[] = []
    const values = valuesOf(declared, environment, wrong)
    const missing = named.filter(name => !isSet(name, environment))
    // What is not configured at all is not looked at.
    if (missing.length < named.length) problems.push(...wrong)
    if (isGiven(values)) {
      check(values, problems)
      return values
    }
    if (missing.length > 0 && missing.length < named.length)
      problems.push(`${title} is configured in part: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing`)
    return null
  }
  return { title, settings: Object.values(declared), required: named, read }
}

function valuesOf<D extends Declared>(declared: D, environment: Environment, problems: string[]): ValuesOf<D> {
  const values = Object.entries(declared).map(([key, setting]) => [key, readSetting(setting, environment, problems)])
  return Object.fromEntries(values) as ValuesOf<D>
}

/** One setting. Where it is wrong, that is a problem, and its default is taken. */
export function readSetting<T>(setting: Setting<T>, environment: Environment, problems: string[]): T {
  try {
    return setting.parse(textOf(setting.name, environment))
  } catch (error) {
    if (!(error instanceof Invalid)) throw error
    problems.push(`${setting.name} ${error.message}`)
    return setting.parse(null)
  }
}

function isSet(name: string, environment: Environment): boolean {
  return [name, `${name}_FILE`].some(given => (environment[given]?.trim() ?? '') !== '')
}

/** What is set, or what the file holds that `NAME_FILE` names; null where neither is there. */
function textOf(name: string, environment: Environment): string | null {
  const file = environment[`${name}_FILE`]
  if (file === undefined || file === '') {
    const value = environment[name]?.trim()
    return value === undefined || value === '' ? null : value
  }
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Invalid(`cannot be read from its file: ${(error as Error).message}`)
  }
}
