/**
 * Which SQL of an analyst is let through to ClickHouse. ClickHouse itself refuses to write (`readonly`); this refuses besides, and
 * by default, what a reading statement could still do: reach files and other servers, end other people's queries, write the answer
 * to a file, read what the server knows of itself. It reads tokens, not grammar: whatever it cannot tell is refused.
 */

/** Refused, with ClickHouse's code and name of it. */
export class SqlRefused extends Error {
  readonly code: number
  constructor(code: number, name: string, message: string) {
    super(`Code: ${code}. DB::Exception: ${message} (${name})`)
    this.code = code
  }
}

interface Token {
  readonly type: 'word' | 'quoted' | 'text' | 'number' | 'sign'
  /** Without quotes. */
  readonly text: string
}

const TOKENS: readonly (readonly [Token['type'] | null, RegExp])[] = [
  [null, /[ \t\r\n\f\v]+/y],
  [null, /--[^\n]*/y],
  [null, /#[ !][^\n]*/y],
  [null, /\/\*(?:(?!\/\*|\*\/)[\s\S])*\*\//y], // none inside another: versions differ in how they read those
  ['text', /'((?:[^'\\]|\\[\s\S]|'')*)'/y],
  ['quoted', /"((?:[^"\\]|"")*)"/y],
  ['quoted', /`((?:[^`\\]|``)*)`/y],
  ['number', /[0-9][0-9A-Za-z_]*/y],
  ['word', /[A-Za-z_][A-Za-z0-9_]*/y],
  ['sign', /[-!%&()*+,./:;<=>?@[\]^{|}]/y],
]

function tokensOf(sql: string): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < sql.length; ) {
    const before = at
    for (const [type, pattern] of TOKENS) {
      pattern.lastIndex = at
      const found = pattern.exec(sql)
      if (found === null) continue
      at = pattern.lastIndex
      if (type !== null) tokens.push({ type, text: found[1] ?? found[0] })
      break
    }
    if (at === before)
      throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: position ${at + 1} cannot be read: ${sql.slice(at, at + 20)}`)
  }
  return tokens
}

const READS = new Set(['SELECT', 'WITH', 'FROM'])
const EXPLAINS = new Set(['AST', 'SYNTAX', 'PLAN', 'PIPELINE', 'ESTIMATE', 'QUERY', 'TREE'])
const SHOWS = new Set(
  'TABLES DATABASES COLUMNS FIELDS FUNCTIONS SETTINGS INDEX INDEXES INDICES KEYS DICTIONARIES FULL EXTENDED'.split(' '),
)
const CREATES = new Set(['TABLE', 'VIEW', 'DATABASE'])

/** Table functions that reach nothing but what one is allowed to read. */
const TABLE_FUNCTIONS = new Set([
  'numbers',
  'numbers_mt',
  'zeros',
  'zeros_mt',
  'generate_series',
  'generateseries',
  'values',
  'view',
  'null',
  'format',
])
/** Functions that read files, other servers, secrets or the server's insides, or only take time. */
const FUNCTIONS = new Set(
  'file catboostevaluate evalmlmethod naivebayesclassifier naivebayesclassifierwithprob naivebayesclassifierwithallprobs addresstoline addresstolinewithinlines addresstosymbol demangle logtrace tid sleep sleepeachrow hascolumnintable joinget joingetornull getmacro getserversetting getserverport getclienthttpheader showcertificate serveruuid zookeepersessionuptime filesystemavailable filesystemcapacity filesystemunreserved lemmatize synonyms stem detectlanguage executable generaterandomstructure'.split(
    ' ',
  ),
)
/** Families of functions: dictionaries, models of outside providers. */
const FAMILIES = /^(ai[A-Z]|dictGet|dictHas|dictIsIn|llm)/
/** What clients ask a server of itself; nothing of it is about its users or their queries. */
const SYSTEM = new Set(
  'one numbers numbers_mt zeros databases tables columns functions settings formats data_type_families table_functions table_engines time_zones build_options aggregate_function_combinators keywords collations parts parts_columns data_skipping_indices projections merge_tree_settings contributors licenses'.split(
    ' ',
  ),
)
const FORMATS =
  /^(TSV|TabSeparated|CSV|JSON|Pretty|Vertical|Values|Native|RowBinary|Arrow|Parquet|ORC|Markdown|XML|Null|MsgPack|BSONEachRow|SQLInsert)\w*$/i

/** What a ClickHouse has that a statement could reach for. */
export interface Reach {
  /** Names of table functions, in lower case. */
  readonly tableFunctions: ReadonlySet<string>
  /** Names of databases that are not the analysts'. */
  readonly otherDatabases: ReadonlySet<string>
}

/** @throws {SqlRefused} */
export function checkSql(sql: string, reach: Reach): void {
  const tokens = tokensOf(sql)
  while (tokens.at(-1)?.text === ';' && tokens.at(-1)?.type === 'sign') tokens.pop()
  if (tokens.some(isSign(';'))) throw new SqlRefused(62, 'SYNTAX_ERROR', 'Syntax error (Multi-statements are not allowed)')
  if (!reads(tokens)) throw readonly()
  for (const [n, token] of tokens.entries()) checkToken(token, tokens[n + 1], tokens[n + 2], reach)
}

/** @throws {SqlRefused} */
export function checkFormat(name: string): void {
  if (!FORMATS.test(name)) throw new SqlRefused(73, 'UNKNOWN_FORMAT', `Format ${name} is not offered here`)
}

/** Whether a statement is of a kind that only reads. */
function reads(tokens: readonly Token[]): boolean {
  const words = tokens.filter(token => !isSign('(')(token)).map(upper)
  const [first = '', second = '', third = ''] = words
  const inside = tokens.some(isSign('('))
  switch (first) {
    case 'SELECT':
    case 'WITH':
    case 'FROM':
      return true
    case 'EXPLAIN': {
      const start = words.findIndex(word => READS.has(word))
      const options = words.slice(1, start)
      return start > 0 && options.every((word, n) => EXPLAINS.has(word) || /^[=,]$|^\d+$/.test(word) || options[n + 1] === '=')
    }
    case 'SHOW':
      return (SHOWS.has(second) || (second === 'CREATE' && CREATES.has(third))) && !inside && plainNames(tokens)
    case 'DESCRIBE':
    case 'DESC':
    case 'EXISTS':
      return inside ? tokens[1]?.text === '(' && READS.has(second) : plainNames(tokens)
    default:
      return false
  }
}

/** In chdb a name may be the path of a file. */
function plainNames(tokens: readonly Token[]): boolean {
  return tokens.every(({ type, text }) => type !== 'quoted' || /^\w+$/.test(text))
}

function checkToken(token: Token, next: Token | undefined, after: Token | undefined, reach: Reach): void {
  const { type, text } = token
  if (type === 'sign' && text === '{' && next?.type === 'word') return // a parameter; its type is checked as a word
  if (type !== 'word' && type !== 'quoted') return
  const name = text.toLowerCase()
  if (type === 'word' && (name === 'outfile' || name === 'infile')) throw readonly()
  if (type === 'word' && name === 'identifier') throw denied('parameters of type Identifier')
  if (type === 'word' && name === 'format' && next?.type === 'word') checkFormat(next.text)
  if (name === 'system' && next !== undefined && isSign('.')(next) && !SYSTEM.has(after?.text ?? '')) {
    throw denied(`system.${after?.text ?? ''}`)
  }
  if (next !== undefined && isSign('.')(next) && reach.otherDatabases.has(text)) throw denied(`database ${text}`)
  if (next === undefined || !isSign('(')(next)) return
  if (FUNCTIONS.has(name) || FAMILIES.test(text) || (reach.tableFunctions.has(name) && !TABLE_FUNCTIONS.has(name))) {
    throw denied(`function ${text}`)
  }
}

function isSign(text: string): (token: Token) => boolean {
  return token => token.type === 'sign' && token.text === text
}

function upper({ type, text }: Token): string {
  return type === 'word' || type === 'sign' || type === 'number' ? text.toUpperCase() : ''
}

function readonly(): SqlRefused {
  return new SqlRefused(164, 'READONLY', 'Cannot execute query in readonly mode')
}

function denied(what: string): SqlRefused {
  return new SqlRefused(497, 'ACCESS_DENIED', `Not enough privileges: ${what} is not offered to analysts`)
}
