/** What analysts' statements may use: functions, table functions, system tables, formats. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = join(import.meta.dirname, 'functions.txt')
const COMBINATORS =
  /(?:SimpleState|OrDefault|Distinct|Resample|ForEach|ArgMax|ArgMin|OrNull|Tuple|MergeState|Merge|State|Array|Null|Map|If)$/i

const { functions, aggregates } = readFunctions()

/** Whether a function may be called; aggregates also with combinators. */
export function isFunction(name: string): boolean {
  if (functions.has(name.toLowerCase())) return true
  for (let rest = name; ; ) {
    const shorter = rest.replace(COMBINATORS, '')
    if (shorter === rest) return false
    if (aggregates.has(shorter.toLowerCase())) return true
    rest = shorter
  }
}

/** All names of the list, as written there. */
export function listedFunctions(): string[] {
  return namesOf(readFileSync(FILE, 'utf8'))
}

function readFunctions() {
  const sections = readFileSync(FILE, 'utf8').split(/^(?=# Aggregates|# Arithmetic)/m)
  const lower = (text: string) => new Set(namesOf(text).map(name => name.toLowerCase()))
  return {
    functions: lower(sections.join('\n')),
    aggregates: lower(sections.find(part => part.startsWith('# Aggregates')) ?? ''),
  }
}

function namesOf(text: string): string[] {
  return text.replace(/^#.*$/gm, '').split(/\s+/).filter(Boolean)
}

const set = (names: string) => new Set(names.split(' '))

/** Table functions without access to anything outside the statement. */
export const TABLE_FUNCTIONS: ReadonlySet<string> = set(
  'numbers numbers_mt zeros zeros_mt primes generate_series generateseries values sqlstandardvalues view null',
)

/** Metadata that clients read. None of it is about users or their queries. */
export const SYSTEM_TABLES: ReadonlySet<string> = set(
  'one numbers numbers_mt zeros zeros_mt databases tables columns functions settings formats data_type_families table_functions table_engines database_engines time_zones build_options aggregate_function_combinators keywords collations codecs constraints parts parts_columns data_skipping_indices projections merge_tree_settings dictionaries contributors licenses completions documentation',
)

/** ClickHouse's own databases: the first is limited to SYSTEM_TABLES, the others show only what the user may read. */
export const SYSTEM_DATABASES: ReadonlySet<string> = set('system information_schema INFORMATION_SCHEMA')

const FORMATS =
  /^(TSV|TabSeparated|CSV|JSON|Pretty|Vertical|Values|Native|RowBinary|Arrow|Parquet|ORC|Markdown|XML|Null|MsgPack|BSONEachRow|SQLInsert)\w*$/i

export function isFormat(name: string): boolean {
  return FORMATS.test(name)
}
