/**
 * A statement as ClickHouse's own parser reads it, in two forms:
 *
 *   text ─▶ assertUnambiguous() ─▶ formatQuery (ClickHouse) ─▶ canonical text ─▶ tokensOf()
 *                                                                    └─▶ EXPLAIN AST (ClickHouse) ─▶ treeOf()
 *
 * Canonical text has no comments, and a single way to write strings and to quote names. It is what is checked, and what is run.
 */

/** A refused statement, with ClickHouse's error code and name. */
export class SqlRefused extends Error {
  readonly code: number
  constructor(code: number, name: string, message: string) {
    super(`Code: ${code}. DB::Exception: ${message} (${name})`)
    this.code = code
  }
}

/** Larger statements are refused: parsing takes time. */
export const MAX_SQL_BYTES = 64 * 1024

const RAW =
  /[ \t\r\n\f\v]+|--[^\n]*|#[ !][^\n]*|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*))*\*\/|'(?:[^'\\\0]|\\[^\0]|'')*'|"(?:[^"\\\0]|\\[^\0]|"")*"|`(?:[^`\\\0]|\\[^\0]|``)*`|\w+|[-!%&()*+,.:;<=>?@[\]^{|}]|\/(?!\*)/y

/**
 * Refuses text that versions of ClickHouse parse differently, or that is misleading: nested comments, heredocs, typographic quotes,
 * unusual spaces, NUL, unterminated strings or comments.
 * @throws {SqlRefused}
 */
export function assertUnambiguous(sql: string): void {
  if (Buffer.byteLength(sql) > MAX_SQL_BYTES)
    throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: the statement is longer than ${MAX_SQL_BYTES} bytes`)
  RAW.lastIndex = 0
  for (let at = 0; at < sql.length; at = RAW.lastIndex) {
    if (RAW.exec(sql) === null)
      throw new SqlRefused(
        62,
        'SYNTAX_ERROR',
        `Syntax error: unsupported character at position ${at + 1}: ${sql.slice(at, at + 20)}`,
      )
  }
}

/** This process examines canonical text; longer texts would take too long. */
const MAX_CANONICAL_CHARS = 128 * 1024
const MAX_TOKENS = 25_000

export interface Token {
  readonly type: 'word' | 'quoted' | 'text' | 'sign'
  /** Without quotes. */
  readonly text: string
  readonly start: number
  readonly end: number
}

const CANONICAL =
  /\s+|'(?<text>(?:[^'\\]|\\.)*)'|`(?<quoted>(?:[^`\\\p{Cc}]|\\[`\\])*)`|(?<word>\w+)|(?<sign>-(?!-)|\/(?!\*)|[!%&()*+,.:;<=>?@[\]^{|}])/suy

/** Tokens of canonical text. @throws {SqlRefused} for text that is not canonical */
export function tokensOf(canonical: string): Token[] {
  const tokens: Token[] = []
  if (canonical.length > MAX_CANONICAL_CHARS) throw tooBig()
  CANONICAL.lastIndex = 0
  for (let start = 0; start < canonical.length; start = CANONICAL.lastIndex) {
    const groups = CANONICAL.exec(canonical)?.groups
    if (groups === undefined)
      throw new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: cannot check: ${canonical.slice(start, start + 20)}`)
    if (tokens.length >= MAX_TOKENS) throw tooBig()
    for (const type of ['word', 'sign', 'quoted', 'text'] as const) {
      const text = groups[type]
      if (text !== undefined) tokens.push({ type, text, start, end: CANONICAL.lastIndex })
    }
  }
  return tokens
}

function tooBig(): SqlRefused {
  return new SqlRefused(168, 'TOO_BIG_AST', 'the statement is too complex')
}

/** A node of `EXPLAIN AST`. */
export interface Node {
  readonly type: string
  /** The text after its type: the name of a function, an identifier, a literal. */
  readonly name: string
  readonly parent: Node | null
  readonly children: readonly Node[]
}

/** All nodes of the tree. @throws {SqlRefused} if the lines form no tree: names may contain line breaks */
export function treeOf(explained: string): Node[] {
  const nodes: (Node & { children: Node[]; depth: number; count: number })[] = []
  const path: (typeof nodes)[number][] = []
  for (const line of explained.split('\n')) {
    if (line.trim() === '') continue
    const found = /^( *)([A-Za-z:]+)(?: (.*?))??(?: \(children (\d+)\))?$/.exec(line)
    const depth = found?.[1]?.length ?? -1
    const parent = depth === 0 ? null : path[depth - 1]
    if (found === null || parent === undefined || (depth === 0 && nodes.length > 0)) throw unparsable(line)
    const name = (found[3] ?? '').replace(/ ?\(alias .*\)$/, '')
    const node = { type: found[2] as string, name, parent, children: [], depth, count: Number(found[4] ?? 0) }
    parent?.children.push(node)
    path.length = depth
    path.push(node)
    nodes.push(node)
  }
  const wrong = nodes.find(({ children, count }) => children.length !== count)
  if (nodes.length === 0 || wrong !== undefined) throw unparsable(wrong?.type ?? 'nothing')
  return nodes
}

function unparsable(what: string): SqlRefused {
  return new SqlRefused(62, 'SYNTAX_ERROR', `Syntax error: cannot check the statement at ${what.trim().slice(0, 40)}`)
}
