/**
 * What ClickHouse's own parser says of a statement, in two forms:
 *
 *   text ─▶ readable() ─▶ formatQuery (engine) ─▶ canonical text ─▶ tokensOf()
 *                                                      └─▶ EXPLAIN AST (engine) ─▶ treeOf()
 *
 * The canonical text has no comments, one way to write a string and one to quote a name; it is what is checked and what is run.
 */

/** Refused, with ClickHouse's code and name of it. */
export class SqlRefused extends Error {
  readonly code: number
  constructor(code: number, name: string, message: string) {
    super(`Code: ${code}. DB::Exception: ${message} (${name})`)
    this.code = code
  }
}

/** More is no question of a person's; parsing takes time. */
export const MOST_SQL = 64 * 1024

const RAW =
  /[ \t\r\n\f\v]+|--[^\n]*|#[ !][^\n]*|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*))*\*\/|'(?:[^'\\\0]|\\[^\0]|'')*'|"(?:[^"\\\0]|\\[^\0]|"")*"|`(?:[^`\\\0]|\\[^\0]|``)*`|\w+|[-!%&()*+,.:;<=>?@[\]^{|}]|\/(?!\*)/y

/**
 * Refuses what versions of ClickHouse read in different ways, or what looks like something else: comments inside of comments,
 * heredocs, typographic quotes, odd spaces, NUL, anything open at the end.
 * @throws {SqlRefused}
 */
export function readable(sql: string): void {
  if (Buffer.byteLength(sql) > MOST_SQL)
    throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: the statement is longer than ${MOST_SQL} bytes`)
  RAW.lastIndex = 0
  for (let at = 0; at < sql.length; at = RAW.lastIndex) {
    if (RAW.exec(sql) === null)
      throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: position ${at + 1} cannot be read: ${sql.slice(at, at + 20)}`)
  }
}

/** What comes of it is read in this process: more than that takes too long. */
const MOST_CANONICAL = 128 * 1024
const MOST_TOKENS = 25_000

export interface Token {
  readonly type: 'word' | 'quoted' | 'text' | 'sign'
  /** Without quotes. */
  readonly text: string
  readonly start: number
  readonly end: number
}

const CANONICAL =
  /\s+|'(?<text>(?:[^'\\]|\\.)*)'|`(?<quoted>(?:[^`\\\p{Cc}]|\\[`\\])*)`|(?<word>\w+)|(?<sign>-(?!-)|\/(?!\*)|[!%&()*+,.:;<=>?@[\]^{|}])/suy

/** Tokens of canonical text. @throws {SqlRefused} where it is none */
export function tokensOf(canonical: string): Token[] {
  const tokens: Token[] = []
  if (canonical.length > MOST_CANONICAL) throw tooBig()
  CANONICAL.lastIndex = 0
  for (let start = 0; start < canonical.length; start = CANONICAL.lastIndex) {
    const groups = CANONICAL.exec(canonical)?.groups
    if (groups === undefined)
      throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: this cannot be checked: ${canonical.slice(start, start + 20)}`)
    if (tokens.length >= MOST_TOKENS) throw tooBig()
    for (const type of ['word', 'sign', 'quoted', 'text'] as const) {
      const text = groups[type]
      if (text !== undefined) tokens.push({ type, text, start, end: CANONICAL.lastIndex })
    }
  }
  return tokens
}

function tooBig(): SqlRefused {
  return new SqlRefused(168, 'TOO_BIG_AST', 'the statement has too many parts')
}

/** A node of `EXPLAIN AST`. */
export interface Node {
  readonly type: string
  /** What stands behind its type: the name of a function, an identifier, a literal. */
  readonly name: string
  readonly parent: Node | null
  readonly children: readonly Node[]
}

/** The tree and all of its nodes. @throws {SqlRefused} where the lines are no tree: a name may hold a line break */
export function treeOf(explained: string): Node[] {
  const nodes: (Node & { children: Node[]; depth: number; count: number })[] = []
  const path: (typeof nodes)[number][] = []
  for (const line of explained.split('\n')) {
    if (line.trim() === '') continue
    const found = /^( *)([A-Za-z:]+)(?: (.*?))??(?: \(children (\d+)\))?$/.exec(line)
    const depth = found?.[1]?.length ?? -1
    const parent = depth === 0 ? null : path[depth - 1]
    if (found === null || parent === undefined || (depth === 0 && nodes.length > 0)) throw notRead(line)
    const name = (found[3] ?? '').replace(/ ?\(alias .*\)$/, '')
    const node = { type: found[2] as string, name, parent, children: [], depth, count: Number(found[4] ?? 0) }
    parent?.children.push(node)
    path.length = depth
    path.push(node)
    nodes.push(node)
  }
  const wrong = nodes.find(({ children, count }) => children.length !== count)
  if (nodes.length === 0 || wrong !== undefined) throw notRead(wrong?.type ?? 'nothing')
  return nodes
}

function notRead(what: string): SqlRefused {
  return new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: the statement cannot be checked at ${what.trim().slice(0, 40)}`)
}
