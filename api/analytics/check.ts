/** Asks ClickHouse's parser what a statement is, and whether all of it is listed. */
import { createHash } from 'node:crypto'
import { applied, checkKind, checkTree, formatOf, type Reach } from './sql.ts'
import { readable, SqlRefused, tokensOf, treeOf } from './parse.ts'

/** Runs a statement of ours, with parameters `param_…`, and gives back its answer as text. @throws {Refusal} */
export type Ask = (sql: string, parameters: Iterable<readonly [string, string]>) => Promise<string>

/** Parsing is bounded in depth, in steps back, in what comes of it, and in time: what comes of it is looked at in this process. */
export const PARSING: readonly (readonly [string, string])[] = [
  ['max_execution_time', '5'],
  ['max_parser_depth', '500'],
  ['max_parser_backtracks', '100000'],
  ['max_query_size', String(512 * 1024)],
  ['max_ast_elements', '10000'],
]
/** Tables and functions that are new are known after so long. */
const REACH_MS = 60_000
/** A name that is not known asks again, if that was longer ago. */
const RETRY_MS = 1_000
/** Dashboards ask the same again and again. */
const MOST_KNOWN = 500

export class StatementCheck {
  readonly #ask: Ask
  readonly #database: string
  readonly #known = new Map<string, string>()
  #reach: { readonly value: Promise<Reach>; readonly at: number } | null = null

  constructor(ask: Ask, database: string) {
    this.#ask = ask
    this.#database = database
  }

  /**
   * The statement as ClickHouse's parser reads it, to be run in place of what was sent.
   * @throws {SqlRefused} unless it is listed
   */
  async canonical(sql: string, parameters: readonly (readonly [string, string])[]): Promise<string> {
    readable(sql)
    const key = createHash('sha256').update(sql).digest('base64')
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const canonical = await this.#format(sql)
    const tokens = tokensOf(canonical)
    checkKind(tokens)
    // A format behind it were that of the tree.
    const bare = formatOf(tokens) === null ? canonical : canonical.slice(0, tokens.at(-2)?.start)
    const nodes = treeOf(await this.#ask(`EXPLAIN AST ${bare}`, parameters))
    const lambdas = applied(canonical, tokens, nodes)
    if (lambdas.length > 0) {
      const calls = lambdas.map(lambda => `arrayMap(${lambda}, [])`)
      nodes.push(...treeOf(await this.#ask(`EXPLAIN AST SELECT ${calls.join(', ')}`, parameters)))
    }
    try {
      checkTree(nodes, tokens, await this.#reached(REACH_MS))
    } catch (error) {
      if (!(error instanceof SqlRefused && error.code === 60)) throw error
      checkTree(nodes, tokens, await this.#reached(RETRY_MS))
    }
    if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(key, canonical)
    return canonical
  }

  /** In hexadecimal, so that nothing of the text can be taken for ours. */
  async #format(sql: string): Promise<string> {
    const answer = await this.#ask(
      `SELECT formatQuerySingleLine(unhex('${Buffer.from(sql).toString('hex')}')) AS canonical, formatQuerySingleLine(canonical) = canonical FORMAT JSONCompact`,
      [],
    )
    const [canonical, stable] = (JSON.parse(answer) as { data: [string, number][] }).data[0] as [string, number]
    if (stable !== 1)
      throw new SqlRefused(62, 'SYNTAX_ERROR', 'Syntax error: the statement reads differently when it is written out')
    // ClickHouse 26.7 forgets one word.
    return /^\s*SHOW\s+FULL\s/i.test(sql) ? canonical.replace(/^SHOW TABLES\b/, 'SHOW FULL TABLES') : canonical
  }

  /** What there is. */
  #reached(ms: number): Promise<Reach> {
    const now = performance.now()
    if (this.#reach === null || now - this.#reach.at > ms) {
      const value = this.#read()
      const reach = { value, at: now }
      this.#reach = reach
      value.then(
        () => this.#known.clear(),
        () => {
          if (this.#reach === reach) this.#reach = null
        },
      )
    }
    return this.#reach.value
  }

  async #read(): Promise<Reach> {
    const names = async (sql: string) => {
      const answer = await this.#ask(`${sql} FORMAT JSONCompactColumns`, [['param_database', this.#database]])
      return new Set((JSON.parse(answer) as string[][])[0] ?? [])
    }
    const [tables, databases, functions, tableFunctions] = await Promise.all([
      names('SELECT name FROM system.tables WHERE database = {database:String}'),
      names('SELECT name FROM system.databases'),
      names('SELECT lower(name) FROM system.functions'),
      names('SELECT lower(name) FROM system.table_functions'),
    ])
    return { database: this.#database, tables, databases, functions, tableFunctions }
  }
}
