/**
 * What every command has: `--help`, `--check`, and words for what is wrong.
 *
 *   0 done    1 done, and the answer is no (different, failed)    2 wrong arguments or settings, or it cannot be done now
 */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'
import { nearest } from '../domain/similarity.ts'

/** What the caller can mend: it is told in words, without where in the code it came up. */
export class Wrong extends Error {}

export interface Option {
  readonly type: 'string' | 'boolean'
  readonly default?: string | boolean
  /** What stands for the value in the help: `<file>`. */
  readonly value?: string
  /** What it is for. */
  readonly doc: string
}

export interface CommandLine<O extends Readonly<Record<string, Option>>> {
  /** As it is called: `npm run log -- topics`. */
  readonly name: string
  /** One sentence. */
  readonly summary: string
  readonly options: O
  /** What its words without dashes are: `<name> …`; without it, it takes none. */
  readonly words?: string
  /** More help, as it is. */
  readonly help?: string
  /**
   * Looks at settings and arguments, before anything is done.
   * @param only nothing is done afterwards: `--check`
   * @throws {Wrong}
   */
  readonly check?: (values: Values<O>, words: readonly string[], only: boolean) => void
  /** Its exit code. @throws {Wrong} */
  readonly run: (values: Values<O>, words: readonly string[]) => Promise<number> | number
}

export type Values<O extends Readonly<Record<string, Option>>> = {
  readonly [N in keyof O]: O[N] extends { readonly type: 'boolean' }
    ? boolean
    : O[N] extends { readonly default: string }
      ? string
      : string | undefined
}

const COMMON = {
  help: { type: 'boolean', doc: 'says this' },
  check: { type: 'boolean', doc: 'looks at the settings and arguments, and does nothing' },
} as const satisfies Record<string, Option>

export interface Streams {
  readonly out: (line: string) => void
  readonly err: (line: string) => void
}
const STANDARD: Streams = { out: line => console.log(line), err: line => console.error(line) }

/** Runs a command with the arguments of the process, and sets its exit code. */
export async function main<O extends Readonly<Record<string, Option>>>(command: CommandLine<O>): Promise<void> {
  process.exitCode = await execute(command, process.argv.slice(2))
}

/** @returns the exit code */
export async function execute<O extends Readonly<Record<string, Option>>>(
  command: CommandLine<O>,
  args: readonly string[],
  { out, err }: Streams = STANDARD,
): Promise<number> {
  let running = false
  try {
    const given = parsed(command, args)
    const { help, check: only } = given.values
    const values = given.values as Values<O>
    if (help === true) {
      out(helpOf(command))
      return 0
    }
    command.check?.(values, given.words, only === true)
    if (only === true) {
      out('nothing is wrong')
      return 0
    }
    running = true
    return await command.run(values, given.words)
  } catch (error) {
    if (!(error instanceof Wrong) && (error as Error).name !== 'ConfigError') throw error
    const { message } = error as Error
    err(running || !(error instanceof Wrong) ? message : `${message}\nFor help: ${command.name} --help`)
    return 2
  }
}

function parsed<O extends Readonly<Record<string, Option>>>({ name, options, words }: CommandLine<O>, args: readonly string[]) {
  const all: Record<string, Option> = { ...options, ...COMMON }
  const config: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(all).map(([option, { type, default: fallback }]) => [
      option,
      { type, ...(fallback === undefined ? {} : { default: fallback }) },
    ]),
  )
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: config,
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const known = Object.hasOwn(all, token.name) ? all[token.name] : undefined
    if (known === undefined) {
      const meant = nearest(token.name, Object.keys(all))
      throw new Wrong(`${name} has no option ${token.rawName}${meant === null ? '' : `; did you mean --${meant}?`}`)
    }
    if (known.type === 'string' && token.value === undefined) throw new Wrong(`${token.rawName} needs a value: ${known.doc}`)
    if (known.type === 'boolean' && token.value !== undefined) throw new Wrong(`${token.rawName} takes no value`)
  }
  if (words === undefined && positionals.length > 0) throw new Wrong(`${name} does not know what "${positionals[0]}" means`)
  return { values, words: positionals }
}

/** The help of a command. */
export function helpOf({
  name,
  summary,
  options,
  words,
  help,
}: Pick<CommandLine<Readonly<Record<string, Option>>>, 'name' | 'summary' | 'options' | 'words' | 'help'>): string {
  const lines = Object.entries({ ...options, ...COMMON } as Record<string, Option>).map(
    ([option, { type, value = '<value>', default: fallback, doc }]) => ({
      left: `--${option}${type === 'string' ? ` ${value}` : ''}`,
      right: `${doc}${fallback === undefined || fallback === '' ? '' : ` (${fallback})`}`,
    }),
  )
  const width = Math.max(...lines.map(({ left }) => left.length))
  return [
    `${name}${words === undefined ? '' : ` ${words}`}`,
    summary,
    '',
    ...lines.map(({ left, right }) => `  ${left.padEnd(width)}  ${right}`),
    ...(help === undefined ? [] : ['', help]),
  ].join('\n')
}
