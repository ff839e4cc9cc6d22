/**
 * Decides which SQL of analysts is passed to ClickHouse. Only allowed kinds of statements, tables, table functions and functions are.
 * It examines the result of ClickHouse's own parser, never the original text. In addition ClickHouse itself refuses writes (`readonly`,
 * grants).
 */
import { isFormat, isFunction, SYSTEM_DATABASES, SYSTEM_TABLES, TABLE_FUNCTIONS } from './allowlist.ts'
import { type Node, SqlRefused, type Token } from './parse.ts'

/** Names that exist in a ClickHouse. */
export interface Catalog {
  /** The analysts' database, and its tables. */
  readonly database: string
  readonly tables: ReadonlySet<string>
  /** All databases. */
  readonly databases: ReadonlySet<string>
  /** All functions, and all table functions, in lower case. */
  readonly functions: ReadonlySet<string>
  readonly tableFunctions: ReadonlySet<string>
}

/** Kinds of statements, by their first words in canonical text. */
const STATEMENTS =
  /^(SELECT|WITH|\(|EXPLAIN|USE|DESCRIBE TABLE|EXISTS (TABLE|VIEW|DATABASE|DICTIONARY)|SHOW (FULL )?(TABLES|DATABASES|DICTIONARIES|SETTINGS|COLUMNS|EXTENDED COLUMNS|INDEXES|FUNCTIONS|ENGINES|CREATE (TABLE|VIEW|DATABASE)))( |$|\()/

/**
 * Checks what must be known before ClickHouse is asked for the tree, since that runs a statement too.
 * @throws {SqlRefused}
 */
export function checkKind(tokens: readonly Token[]): void {
  if (
    !STATEMENTS.test(
      tokens
        .slice(0, 4)
        .map(({ text }) => text)
        .join(' '),
    )
  )
    throw readonly()
  for (const [n, token] of tokens.entries()) {
    const next = tokens[n + 1]
    if (token.type !== 'word') {
      if (token.text === ':' && next?.type === 'word' && next.text === 'Identifier')
        throw denied('a parameter of type Identifier')
      continue
    }
    if (token.text === 'INTO' && next?.text === 'OUTFILE') throw readonly()
    if (token.text === 'SETTINGS' && tokens[n + 2]?.text === '=')
      throw new SqlRefused(164, 'READONLY', 'SETTINGS in a statement are not supported')
  }
  const format = formatOf(tokens)
  if (format !== null) checkFormat(format)
}

/** The format that canonical text ends with. */
export function formatOf(tokens: readonly Token[]): string | null {
  const [keyword, name] = tokens.slice(-2)
  return keyword?.type === 'word' && keyword.text === 'FORMAT' && name?.type === 'word' ? name.text : null
}

/** @throws {SqlRefused} */
export function checkFormat(name: string): void {
  if (!isFormat(name)) throw new SqlRefused(73, 'UNKNOWN_FORMAT', `Format ${name} is not supported here`)
}

/**
 * Checks what `APPLY` applies, which the tree omits: the name of a function, or a lambda, with or without parentheses.
 *
 *   APPLY f      APPLY f(0.5)      APPLY (f, 'prefix')      APPLY (x -> f(x))      APPLY x -> (x + 1)
 *
 * @returns the text of the lambdas
 * @throws {SqlRefused} for another form, or a function that is not allowed
 */
export function applied(canonical: string, tokens: readonly Token[], nodes: readonly Node[]): string[] {
  const places = tokens.flatMap((token, n) => (isWord(token, 'APPLY') && tokens[n + 1] !== undefined ? [n + 1] : []))
  if (places.length !== nodes.filter(({ type }) => type === 'ColumnsApplyTransformer').length) throw denied('this form of APPLY')
  return places.flatMap(n => {
    const first = tokens[n] as Token
    const last = isSign(first, '(') ? closing(tokens, n) : isArrow(tokens, n + 1) ? bodyEnd(tokens, n + 3) : null
    if (last === null) {
      if (first.type !== 'word' || !isFunction(first.text)) throw denied(`function ${first.text}`)
      return []
    }
    const lambda = canonical.slice(first.start, last.end)
    if (lambda.includes('->')) return [lambda]
    const [name, comma, prefix, ...more] = tokens.slice(n + 1, tokens.indexOf(last))
    const plain = comma === undefined || (isSign(comma, ',') && prefix?.type === 'text' && more.length === 0)
    if (name?.type !== 'word' || !isFunction(name.text) || !plain) throw denied(`function ${name?.text}`)
    return []
  })
}

function isWord(token: Token | undefined, text: string): boolean {
  return token?.type === 'word' && token.text === text
}

function isSign(token: Token | undefined, text: string): boolean {
  return token?.type === 'sign' && token.text === text
}

function isArrow(tokens: readonly Token[], n: number): boolean {
  return isSign(tokens[n], '-') && isSign(tokens[n + 1], '>')
}

/** End of the body of a lambda without parentheses: a name, a number or a parenthesis, with nothing that continues it. */
function bodyEnd(tokens: readonly Token[], n: number): Token {
  const end = isSign(tokens[n], '(') ? closing(tokens, n) : (tokens[n] as Token)
  const next = tokens[tokens.indexOf(end) + 1]
  const ends =
    next === undefined || isSign(next, ',') || isSign(next, ')') || (next.type === 'word' && /^[A-Z]+$/.test(next.text))
  if (end === undefined || !ends) throw denied('this form of APPLY')
  return end
}

function closing(tokens: readonly Token[], open: number): Token {
  let depth = 0
  for (let n = open; n < tokens.length; n++) {
    if (isSign(tokens[n], '(')) depth++
    if (isSign(tokens[n], ')') && --depth === 0) return tokens[n] as Token
  }
  throw denied('this form of APPLY')
}

/** Nodes that only contain others, or are harmless by themselves. */
const HARMLESS = new Set(
  'ExpressionList SelectQuery SelectIntersectExceptQuery Subquery Asterisk QualifiedAsterisk ColumnsTransformerList ColumnsApplyTransformer ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement ColumnsRegexpMatcher QualifiedColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsListMatcher Literal TablesInSelectQuery TablesInSelectQueryElement TableExpression TableJoin ArrayJoin WithElement OrderByElement InterpolateElement WindowDefinition WindowListElement SampleRatio DescribeQuery ShowTables ShowColumns ShowFunctions ShowEngineQuery'.split(
    ' ',
  ),
)
const EXPLAINS = new Set([
  'EXPLAIN',
  'EXPLAIN AST',
  'EXPLAIN SYNTAX',
  'EXPLAIN QUERY TREE',
  'EXPLAIN PIPELINE',
  'EXPLAIN ESTIMATE',
])

/** @throws {SqlRefused} unless everything in the statement is allowed */
export function checkTree(nodes: readonly Node[], tokens: readonly Token[], catalog: Catalog): void {
  const ctes = ctesOf(tokens)
  for (const node of nodes) checkNode(node, catalog, ctes)
  for (const [n, token] of tokens.entries()) checkCall(tokens[n - 1], token, tokens[n + 1], catalog)
  if (tokens[0]?.text === 'SHOW') checkShow(tokens, catalog)
  // APPLY hides calls from the tree, so any mention of a denied function is refused.
  const hidden = nodes.some(({ type }) => type === 'ColumnsApplyTransformer')
  const named = tokens.find(({ type, text }) => (type === 'word' || type === 'quoted') && isDenied(text, catalog))
  if (hidden && named !== undefined) throw denied(`function ${named.text}`)
}

function checkNode(node: Node, catalog: Catalog, ctes: ReadonlySet<string>): void {
  const { type, name, parent, children } = node
  if (HARMLESS.has(type)) return
  switch (type) {
    case 'SelectWithUnionQuery':
      // After the list comes a format; a literal would be the file that the result is written to.
      if (children.slice(1).some(child => child.type !== 'Identifier')) throw readonly()
      for (const child of children.slice(1)) checkFormat(child.name)
      return
    case 'Function':
      if (!(parent?.type === 'TableExpression' ? TABLE_FUNCTIONS.has(name.toLowerCase()) : isFunction(name)))
        throw denied(`function ${name}`)
      checkSet(node, catalog, ctes)
      return
    case 'Identifier':
      if (parent?.type === 'ExpressionList' && parent.parent?.type === 'Function' && isDenied(name, catalog))
        throw denied(`function ${name}`)
      return
    case 'TableIdentifier':
      checkTable(name, catalog, ctes)
      return
    case 'Explain':
      if (!EXPLAINS.has(name)) throw readonly()
      return
    case 'Set': // the options of an EXPLAIN
      if (parent?.type !== 'Explain') throw readonly()
      return
    case 'ShowCreateTableQuery':
    case 'ShowCreateViewQuery':
      checkTable(children.map(child => child.name).join('.'), catalog, NONE)
      return
    case 'ExistsTableQuery':
    case 'ExistsViewQuery':
    case 'ExistsDictionaryQuery': {
      const [database, table] = children.map(child => child.name)
      if (table !== undefined) checkDatabase(database as string, catalog)
      if (!/^\w+$/.test(table ?? (database as string))) throw denied(`table ${table ?? database}`) // in chdb it may be the path of a file
      return
    }
    case 'ShowCreateDatabaseQuery':
    case 'ExistsDatabaseQuery':
      checkDatabase(children[0]?.name ?? '', catalog)
      return
    case 'UseQuery':
      if (children[0]?.name !== catalog.database) throw otherDatabase(children[0]?.name ?? '', catalog.database)
      return
    default:
      throw readonly()
  }
}

const NONE: ReadonlySet<string> = new Set()

function isDenied(name: string, { functions }: Catalog): boolean {
  return functions.has(name.toLowerCase()) && !isFunction(name)
}

/** The right-hand side of IN may be a table. */
function checkSet({ name, children }: Node, catalog: Catalog, ctes: ReadonlySet<string>): void {
  if (!/in(ignoreset)?$/i.test(name) || !/^(global)?(not)?(null)?in(ignoreset)?$/i.test(name)) return
  const behind = children[0]?.children[1]
  if (behind?.type !== 'Identifier') return
  const [first = ''] = behind.name.split('.')
  if (!/^[\w.]+$/.test(behind.name)) throw denied(behind.name)
  if (catalog.databases.has(first) || SYSTEM_DATABASES.has(first)) checkTable(behind.name, catalog, ctes)
}

function checkTable(name: string, catalog: Catalog, ctes: ReadonlySet<string>): void {
  if (ctes.has(name)) return
  const [database, table, ...rest] = name.includes('.') ? name.split('.') : [catalog.database, name]
  if (rest.length > 0 || !/^\w+$/.test(table as string)) throw denied(`table ${name}`) // in chdb it may be the path of a file
  if (database === 'system') {
    if (!SYSTEM_TABLES.has(table as string)) throw denied(`system.${table}`)
    return
  }
  checkDatabase(database as string, catalog)
  if (database === catalog.database && !catalog.tables.has(table as string))
    throw new SqlRefused(60, 'UNKNOWN_TABLE', `Unknown table expression identifier '${name}'`)
}

function checkDatabase(name: string, { database }: Catalog): void {
  if (name !== database && !SYSTEM_DATABASES.has(name)) throw otherDatabase(name, database)
}

/** Names the database that is available. */
export function otherDatabase(name: string, database: string): SqlRefused {
  return denied(`database ${name}`, `; use the database ${database}`)
}

/** A name that can only be a common table expression's: neither a path nor a qualified table. */
const CTE = /^[\p{L}\p{M}\p{N}_ -]+$/u

/** Names of common table expressions: `name AS (`, which the tree omits. */
function ctesOf(tokens: readonly Token[]): Set<string> {
  const names = new Set<string>()
  for (const [n, { type, text }] of tokens.entries()) {
    const before = tokens[n - 1]
    if (type !== 'word' || text !== 'AS' || before === undefined) continue
    const open = tokens[n + 1]?.text === 'MATERIALIZED' ? tokens[n + 2] : tokens[n + 1]
    if (open?.text === '(' && (before.type === 'word' || before.type === 'quoted')) names.add(before.text)
    if (open?.text === '(' && before.text === ')') {
      const columns = tokens.slice(0, n).findLastIndex(token => token.type === 'sign' && token.text === '(')
      const name = tokens[columns - 1]
      if (name?.type === 'word' || name?.type === 'quoted') names.add(name.text)
    }
  }
  return new Set([...names].filter(name => CTE.test(name)))
}

/** Checks calls again, in the text: a call is a name before a parenthesis, and a name among arguments may be a function too. */
function checkCall(before: Token | undefined, token: Token, next: Token | undefined, catalog: Catalog): void {
  const { type, text } = token
  if (type !== 'word' && type !== 'quoted') return
  const name = text.toLowerCase()
  const table = catalog.tableFunctions.has(name) && !TABLE_FUNCTIONS.has(name) && !isFunction(name)
  const argument = [before, next].every(sign => sign?.type === 'sign' && '(,)'.includes(sign.text))
  if (isSign(next, '(') ? table || isDenied(text, catalog) : argument && isDenied(text, catalog)) throw denied(`function ${text}`)
}

/** Checks what SHOW names, which the tree omits. */
function checkShow(tokens: readonly Token[], catalog: Catalog): void {
  const from = tokens.flatMap(({ type, text }, n) => (type === 'word' && text === 'FROM' ? [tokens[n + 1]?.text ?? ''] : []))
  const ofTable = tokens.some(({ type, text }) => type === 'word' && (text === 'COLUMNS' || text === 'INDEXES'))
  const [table, database] = ofTable ? from : [undefined, from[0]]
  if (database !== undefined) checkDatabase(database, catalog)
  if (table !== undefined) checkTable(database === undefined ? table : `${database}.${table}`, catalog, NONE)
}

function readonly(): SqlRefused {
  return new SqlRefused(164, 'READONLY', 'Cannot execute query in readonly mode')
}

function denied(what: string, more = ''): SqlRefused {
  return new SqlRefused(497, 'ACCESS_DENIED', `Not enough privileges: ${what} is not available to analysts${more}`)
}
