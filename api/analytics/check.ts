/** Has ClickHouse's parser analyse a statement, and checks that everything in it is allowed. */
import { createHash } from 'node:crypto'
import { applied, checkKind, checkTree, formatOf, type Catalog } from './sql.ts'
import { assertUnambiguous, SqlRefused, tokensOf, treeOf } from './parse.ts'

/** Runs a statement of ours, with parameters `param_…`, and returns its result as text. @throws {ClickHouseError} */
export type Ask = (sql: string, parameters: Iterable<readonly [string, string]>) => Promise<string>

/** Limits of parsing, since this process examines the result. */
export const PARSING: readonly (readonly [string, string])[] = [
  ['max_execution_time', '5'],
  ['max_parser_depth', '500'],
  ['max_parser_backtracks', '100000'],
  ['max_query_size', String(512 * 1024)],
  ['max_ast_elements', '10000'],
]
/** New tables and functions are known after this time. */
const CATALOG_MS = 60_000
/** For an unknown name the catalog is read again, at most this often. */
const RETRY_MS = 1_000
/** Statements whose check is cached: dashboards repeat them. */
const MAX_CHECKED = 500

export class StatementCheck {
  readonly #ask: Ask
  readonly #database: string
  readonly #known = new Map<string, string>()
  #catalog: { readonly value: Promise<Catalog>; readonly at: number } | null = null

  constructor(ask: Ask, database: string) {
    this.#ask = ask
    this.#database = database
  }

  /**
   * The statement as ClickHouse's parser formats it, to be run instead of the original text.
   * @throws {SqlRefused} unless everything in it is allowed
   */
  async canonical(sql: string, parameters: readonly (readonly [string, string])[]): Promise<string> {
    assertUnambiguous(sql)
    const key = createHash('sha256').update(sql).digest('base64')
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const canonical = await this.#format(sql)
    const tokens = tokensOf(canonical)
    checkKind(tokens)
    // A FORMAT clause would apply to the tree.
    const bare = formatOf(tokens) === null ? canonical : canonical.slice(0, tokens.at(-2)?.start)
    const nodes = treeOf(await this.#ask(`EXPLAIN AST ${bare}`, parameters))
    const lambdas = applied(canonical, tokens, nodes)
    if (lambdas.length > 0) {
      const calls = lambdas.map(lambda => `arrayMap(${lambda}, [])`)
      nodes.push(...treeOf(await this.#ask(`EXPLAIN AST SELECT ${calls.join(', ')}`, parameters)))
    }
    try {
      checkTree(nodes, tokens, await this.#catalogWithin(CATALOG_MS))
    } catch (error) {
      if (!(error instanceof SqlRefused && error.code === 60)) throw error
      checkTree(nodes, tokens, await this.#catalogWithin(RETRY_MS))
    }
    if (this.#known.size >= MAX_CHECKED) this.#known.delete(this.#known.keys().next().value as string)
    this.#known.set(key, canonical)
    return canonical
  }

  /** The text is passed in hexadecimal, so that none of it is parsed as part of our statement. */
  async #format(sql: string): Promise<string> {
    const answer = await this.#ask(
      `SELECT formatQuerySingleLine(unhex('${Buffer.from(sql).toString('hex')}')) AS canonical, formatQuerySingleLine(canonical) = canonical FORMAT JSONCompact`,
      [],
    )
    const [canonical, stable] = (JSON.parse(answer) as { data: [string, number][] }).data[0] as [string, number]
    if (stable !== 1) throw new SqlRefused(62, 'SYNTAX_ERROR', 'Syntax error: formatting the statement changes its meaning')
    // ClickHouse 26.7 omits the word FULL.
    return /^\s*SHOW\s+FULL\s/i.test(sql) ? canonical.replace(/^SHOW TABLES\b/, 'SHOW FULL TABLES') : canonical
  }

  /** Names that exist, cached. */
  #catalogWithin(ms: number): Promise<Catalog> {
    const now = performance.now()
    if (this.#catalog === null || now - this.#catalog.at > ms) {
      const value = this.#read()
      const catalog = { value, at: now }
      this.#catalog = catalog
      value.then(
        () => this.#known.clear(),
        () => {
          if (this.#catalog === catalog) this.#catalog = null
        },
      )
    }
    return this.#catalog.value
  }

  async #read(): Promise<Catalog> {
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
