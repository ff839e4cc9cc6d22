/**
 * Blocks of the format Native as clients of ClickHouse's protocol expect them: chdb writes them as for a file, while a client that
 * states its protocol version expects more before each block and in each column.
 *
 *   file     columns, rows │ name, type, data │ …
 *   client   info │ columns, rows │ name, type, whether it has custom serialisation, data │ …
 *
 * To find where a column ends, its data is walked by its type.
 */

/** Versions of the protocol (src/Core/ProtocolDefines.h) from which on blocks have an info, time zones, LowCardinality and the mark in a column. */
const SINCE = { info: 1, zone: 54_337, lowCardinality: 54_405, mark: 54_454 }
/** Not overflown, no bucket: fields 1 and 2, and the end. */
const INFO = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0])
const PLAIN = Buffer.from([0])

/** A type whose data cannot be walked. */
export class NativeUnsupported extends Error {}

/**
 * @param version the client's protocol version
 * @param types of the columns, with the time zones that a file leaves out; null if there are none
 * @throws {NativeUnsupported}
 */
export function nativeFor(version: number, file: Uint8Array, types: readonly string[] | null = null): Buffer {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  if (version < SINCE.info) return bytes
  const parts: Buffer[] = []
  const walk = new Walk(bytes)
  while (walk.at < bytes.length) {
    const begin = walk.at
    const columns = walk.number()
    const rows = walk.number()
    parts.push(INFO, bytes.subarray(begin, walk.at))
    for (let n = 0; n < columns; n++) {
      const start = walk.at
      walk.text()
      const named = walk.at
      const text = walk.text()
      const type = parseType(text)
      const zoned = text === 'DateTime' && version >= SINCE.zone ? (types?.[n] ?? text) : text
      if (version < SINCE.lowCardinality && has(type, 'LowCardinality'))
        throw new NativeUnsupported('LowCardinality for so old a client')
      if (zoned === text) parts.push(bytes.subarray(start, walk.at))
      else parts.push(bytes.subarray(start, named), Buffer.from([Buffer.byteLength(zoned)]), Buffer.from(zoned))
      if (version >= SINCE.mark) parts.push(PLAIN)
      const data = walk.at
      if (rows > 0) {
        walk.prefix(type)
        walk.data(type, rows)
      }
      parts.push(bytes.subarray(data, walk.at))
    }
  }
  return Buffer.concat(parts)
}

interface Type {
  readonly name: string
  /** Types in parentheses; for those of fixed size what stands there. */
  readonly inner: readonly Type[]
  readonly given: readonly string[]
}

const GEO: Readonly<Record<string, string>> = {
  Point: 'Tuple(Float64, Float64)',
  Ring: 'Array(Point)',
  LineString: 'Array(Point)',
  Polygon: 'Array(Ring)',
  MultiLineString: 'Array(LineString)',
  MultiPolygon: 'Array(Polygon)',
}
const SIZES: Readonly<Record<string, number>> = {
  Bool: 1,
  Nothing: 1,
  Enum8: 1,
  Enum16: 2,
  Date: 2,
  BFloat16: 2,
  Date32: 4,
  DateTime: 4,
  Time: 4,
  IPv4: 4,
  DateTime64: 8,
  Time64: 8,
  UUID: 16,
  IPv6: 16,
}
const NESTING = new Set(['Array', 'Tuple', 'Map', 'Nullable', 'LowCardinality', 'Nested', 'SimpleAggregateFunction'])

export function parseType(text: string): Type {
  const geo = GEO[text]
  if (geo !== undefined) return parseType(geo)
  const open = text.indexOf('(')
  const name = open === -1 ? text : text.slice(0, open)
  const given = open === -1 ? [] : split(text.slice(open + 1, -1))
  // The parts of a tuple may have names; the first of an aggregate is its function.
  const types = NESTING.has(name) ? (name === 'SimpleAggregateFunction' ? given.slice(1) : given) : []
  return { name, given, inner: types.map(part => parseType(part.replace(/^(?:`(?:[^`\\]|\\.)*`|[\w.]+) (?=[A-Z])/, ''))) }
}

/** By commas that are not within parentheses or quotes. */
function split(text: string): string[] {
  const parts = ['']
  let depth = 0
  for (const [piece] of text.matchAll(/'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|[^'`]/gs)) {
    if (piece === '(') depth++
    if (piece === ')') depth--
    if (piece === ',' && depth === 0) parts.push('')
    else parts[parts.length - 1] += piece
  }
  return parts.map(part => part.trim()).filter(part => part !== '')
}

function has(type: Type, name: string): boolean {
  return type.name === name || type.inner.some(inner => has(inner, name))
}

class Walk {
  readonly #bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Seven bits a byte, lowest first. */
  number(): number {
    let [value, factor] = [0, 1]
    for (;;) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined) throw new NativeUnsupported('a block that is cut off')
      value += (byte & 127) * factor
      if (byte < 128) return value
      factor *= 128
    }
  }

  text(): string {
    const length = this.number()
    this.at += length
    return this.#bytes.toString('utf8', this.at - length, this.at)
  }

  #skip(length: number): void {
    this.at += length
  }

  /** The prefix of a column's data. */
  prefix({ name, inner }: Type): void {
    if (name === 'LowCardinality') this.at += 8
    else for (const one of inner) this.prefix(one)
  }

  data(type: Type, rows: number): void {
    const { name, inner } = type
    switch (name) {
      case 'String':
        for (let n = 0; n < rows; n++) this.#skip(this.number())
        return
      case 'Nullable':
        this.at += rows
        this.data(inner[0] as Type, rows)
        return
      case 'Array':
        this.data(inner[0] as Type, this.#offsets(rows))
        return
      case 'Map':
      case 'Nested': {
        const count = this.#offsets(rows)
        for (const one of inner) this.data(one, count)
        return
      }
      case 'Tuple':
        if (inner.length === 0) this.at += rows
        for (const one of inner) this.data(one, rows)
        return
      case 'SimpleAggregateFunction':
        this.data(inner[0] as Type, rows)
        return
      case 'LowCardinality':
        this.#dictionary(inner[0] as Type, rows)
        return
      default:
        this.at += sizeOf(type) * rows
    }
  }

  /** Ends of the arrays; the last one is how many elements there are. */
  #offsets(rows: number): number {
    this.at += 8 * rows
    return rows === 0 ? 0 : this.#long(this.at - 8)
  }

  #dictionary(keys: Type, rows: number): void {
    if (rows === 0) return
    const flags = this.#bytes.readUInt32LE(this.at)
    this.at += 8
    if ((flags & 0x200) !== 0) {
      const count = this.#long(this.at)
      this.at += 8
      this.data(keys.name === 'Nullable' ? (keys.inner[0] as Type) : keys, count)
    }
    if (this.#long(this.at) !== rows) throw new NativeUnsupported('LowCardinality in several parts')
    this.at += 8 + rows * 2 ** (flags & 0xff)
  }

  #long(at: number): number {
    return Number(this.#bytes.readBigUInt64LE(at))
  }
}

function sizeOf({ name, given }: Type): number {
  const known = SIZES[name]
  if (known !== undefined) return known
  const bits = /^(?:U?Int|Float|Decimal)(8|16|32|64|128|256)$/.exec(name)
  if (bits !== null) return Number(bits[1]) / 8
  if (name === 'FixedString') return Number(given[0])
  if (name === 'Decimal') return decimalSize(Number(given[0]))
  if (/^Interval[A-Z]\w+$/.test(name)) return 8
  throw new NativeUnsupported(`the type ${name}`)
}

function decimalSize(digits: number): number {
  return digits <= 9 ? 4 : digits <= 18 ? 8 : digits <= 38 ? 16 : 32
}
