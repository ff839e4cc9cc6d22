/**
 * Runs statements on chdb, as ClickHouse's HTTP interface does. Every statement has its own session, so that none sees the settings,
 * parameters or `USE` of another; sessions of one data folder share the engine and run concurrently.
 */
import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Session } from 'chdb'

type Chdb = typeof import('chdb')

/**
 * The database of the tables, which clients use by default. In chdb, a table name in it that is a path means the file, so the API lets
 * through table names only.
 */
export const DATABASE = 'default'
/** The database of the tables in earlier versions. */
const FORMER = 'analytics'

export interface Statement {
  /** SQL; after an INSERT … FORMAT its data, in the bytes of that format. */
  readonly body: Buffer
  /** Output format if the SQL names none. */
  readonly format: string
  readonly database: string
  readonly settings: Readonly<Record<string, string>>
  readonly parameters: Readonly<Record<string, string>>
}

export interface Outcome {
  readonly body: Uint8Array
  readonly format: string
  /** Types of the columns, if the answer does not carry them in full. */
  readonly types: readonly string[] | null
  readonly elapsedMs: number
  readonly readRows: number
  readonly readBytes: number
  readonly writtenRows: number
  readonly writtenBytes: number
}

/** An error of the engine, with ClickHouse's code. */
export class EngineError extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export class ChdbEngine {
  readonly #chdb: Chdb
  readonly #folder: string
  /** Keeps the folder open, and kills statements that nobody waits for. */
  readonly #first: Session
  readonly version: string

  /** @throws when another process uses the folder */
  constructor(chdb: Chdb, folder: string) {
    this.#chdb = chdb
    this.#folder = folder
    this.#first = new chdb.Session(folder)
    this.#moveFormer()
    this.version = this.#first.query('SELECT version()', 'TSV').trim()
  }

  /** @throws {EngineError} */
  async run(statement: Statement, signal?: AbortSignal): Promise<Outcome> {
    const began = performance.now()
    const session = new this.#chdb.Session(this.#folder)
    const mark = randomUUID()
    const giveUp = () => this.#kill(mark)
    signal?.addEventListener('abort', giveUp, { once: true })
    try {
      prepare(session, statement, mark)
      const insert = readInsert(statement.body)
      const outcome = insert === null ? await this.#query(session, statement) : await this.#insert(session, insert)
      return { ...outcome, elapsedMs: performance.now() - began }
    } catch (error) {
      throw asEngineError(error)
    } finally {
      signal?.removeEventListener('abort', giveUp)
      session.close()
    }
  }

  close(): void {
    this.#first.close()
  }

  /**
   * Moves the tables of an earlier version, with their rows. Views name the database: they are dropped, and the migrations, which are
   * repeatable, create them again. An interrupted move is continued.
   */
  #moveFormer(): void {
    const names = (sql: string) => this.#first.query(sql, 'TabSeparatedRaw').split('\n').filter(Boolean)
    const tables = (database: string, where: string) =>
      names(`SELECT name FROM system.tables WHERE database = '${database}' AND ${where}`)
    if (names(`SELECT name FROM system.databases WHERE name = '${FORMER}'`).length === 0) return
    if (tables(DATABASE, "engine LIKE '%MergeTree'").length > 0) return // already in use
    const anew = tables(FORMER, "(engine LIKE '%View' OR name = 'schema_migrations')")
    for (const table of anew) this.#first.query(`DROP TABLE ${FORMER}.${identifier(table)} SYNC`)
    this.#first.query(`DROP DATABASE ${DATABASE} SYNC`)
    this.#first.query(`RENAME DATABASE ${FORMER} TO ${DATABASE}`)
  }

  /** Kills a statement that nobody waits for any more. */
  #kill(mark: string): void {
    this.#first.queryAsync(`KILL QUERY WHERE Settings['log_comment'] = '${mark}' ASYNC`).catch(() => {})
  }

  async #query(session: Session, statement: Statement): Promise<Omit<Outcome, 'elapsedMs'>> {
    const sql = statement.body.toString()
    const result = await session.queryAsync(sql, { format: statement.format })
    const body = result.bytes()
    const format = formatOf(sql) ?? statement.format
    const untold = format === 'Native' && Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes('\x08DateTime')
    const types = untold ? await typesOf(session, sql) : null
    return { body, format, types, readRows: result.rowsRead, readBytes: result.bytesRead, writtenRows: 0, writtenBytes: 0 }
  }

  async #insert(session: Session, { table, columns, format, values }: Insert): Promise<Omit<Outcome, 'elapsedMs'>> {
    const none = {
      body: new Uint8Array(),
      format,
      types: null,
      readRows: 0,
      readBytes: 0,
      writtenRows: 0,
      writtenBytes: values.length,
    }
    if (values.length === 0) return none
    if (STREAMED.has(format) && [table, ...(columns ?? [])].every(name => PLAIN.test(name))) {
      const names = columns === null ? {} : { columns }
      const { rowsWritten } = await session.insert({ table, ...names, format: format as 'JSONEachRow', values })
      return { ...none, writtenRows: rowsWritten }
    }
    const file = join(this.#folder, 'tmp', `insert-${randomUUID()}`)
    await writeFile(file, values, { mode: 0o600 })
    try {
      const into = columns === null ? table : `${table} (${columns.map(name => `\`${name}\``).join(', ')})`
      const result = await session.queryAsync(
        `INSERT INTO ${into} FROM INFILE '${file.replace(/['\\]/g, '\\$&')}' FORMAT ${format}`,
      )
      return { ...none, writtenRows: result.rowsRead }
    } finally {
      await rm(file, { force: true })
    }
  }
}

/** `readonly` last: nothing can be set after it. */
function prepare(session: Session, { database, settings, parameters }: Statement, mark: string): void {
  session.query(`USE ${identifier(database)}`)
  const { readonly, ...others } = settings
  const all = { ...others, log_comment: mark, ...prefixed(parameters), ...(readonly === undefined ? {} : { readonly }) }
  const changes = Object.entries(all).map(([name, value]) => `${settingName(name)} = ${literal(value)}`)
  session.query(`SET ${changes.join(', ')}`)
}

function prefixed(parameters: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [`param_${name}`, value]))
}

function settingName(name: string): string {
  if (!/^\w+$/.test(name)) throw new EngineError(115, `Unknown setting '${name}'`)
  return name
}

function identifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}

function literal(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&').replace(/\0/g, '\\0')}'`
}

interface Insert {
  readonly table: string
  readonly columns: readonly string[] | null
  readonly format: string
  readonly values: Buffer
}

/** Formats and names for which chdb accepts bytes; others go through a file. */
const STREAMED = new Set(['JSONEachRow', 'JSONCompactEachRow', 'CSV', 'CSVWithNames', 'TabSeparated', 'TabSeparatedWithNames'])
const PLAIN = /^\w+(\.\w+)?$/
const NAME = '(?:`[^`\\\\]+`|"[^"\\\\]+"|\\w+)'
const INSERT = new RegExp(
  `^\\s*INSERT\\s+INTO\\s+(?:TABLE\\s+)?(${NAME}(?:\\.${NAME})?)\\s*(?:\\(([^()]*)\\)\\s*)?FORMAT\\s+(\\w+)[ \\t]*;?[ \\t]*(?:\\r?\\n|(?=[^\\s])|$)`,
  'i',
)
const LONGEST_HEAD = 64 * 1024

/** The parts of an INSERT that is followed by its data; null for any other statement. */
export function readInsert(body: Buffer): Insert | null {
  const head = body.subarray(0, LONGEST_HEAD).toString('latin1')
  const found = INSERT.exec(head)
  if (found === null) return null
  const [whole, table = '', list, format = ''] = found
  if (/^values$/i.test(format)) return null
  const text = (latin1: string) => Buffer.from(latin1, 'latin1').toString()
  const columns =
    list === undefined
      ? null
      : list.split(',').map(name =>
          text(name)
            .trim()
            .replace(/^[`"]|[`"]$/g, ''),
        )
  return { table: text(table), columns, format, values: body.subarray(whole.length) }
}

const FORMAT_AT_END = /\bFORMAT\s+(\w+)\s*(?:SETTINGS\s[^;]*)?;?\s*$/i

/** The types of the columns, since Native as a file leaves out time zones. Null if the statement cannot be described. */
async function typesOf(session: Session, sql: string): Promise<string[] | null> {
  try {
    const described = await session.queryAsync(`DESCRIBE TABLE (${sql.replace(FORMAT_AT_END, '')}\n)`, {
      format: 'JSONCompactColumns',
    })
    return (JSON.parse(described.text()) as string[][])[1] ?? null
  } catch {
    return null // such as a SHOW, whose times have no zone
  }
}

/** The format that a statement names at its end. */
function formatOf(sql: string): string | null {
  return FORMAT_AT_END.exec(sql)?.[1] ?? null
}

function asEngineError(error: unknown): EngineError {
  if (error instanceof EngineError) return error
  const message = error instanceof Error ? error.message : String(error)
  const code = /Code: (\d+)\./.exec(message)
  return new EngineError(Number(code?.[1] ?? 1002), message.replace(/^Query failed: /, ''))
}
