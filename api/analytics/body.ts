/** The statement of a request, however it was sent; and its answer, compressed as HTTP does. */
import { pipeline, type Readable } from 'node:stream'
import * as zlib from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readBlocks } from '../../sinks/clickhouse/blocks.ts'
import { MOST_SQL, SqlRefused } from './parse.ts'

const BOUND = { maxOutputLength: MOST_SQL }
const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  identity: bytes => bytes,
  gzip: bytes => zlib.gunzipSync(bytes, BOUND),
  deflate: bytes => zlib.inflateSync(bytes, BOUND),
  br: bytes => zlib.brotliDecompressSync(bytes, BOUND),
  zstd: bytes => zlib.zstdDecompressSync(bytes, BOUND),
}

/**
 * In the address, in the body, or its beginning in the one and its end in the other; by HTTP's compression or by ClickHouse's own.
 * @throws {SqlRefused}
 */
export function readStatement({ body, headers }: FastifyRequest, given: URLSearchParams): string {
  if (headers['content-type']?.startsWith('multipart/')) throw unsupported('a form')
  const encoding = headers['content-encoding'] ?? 'identity'
  const decode = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined
  if (decode === undefined) throw unsupported(`a statement compressed by ${encoding}`)
  try {
    const bytes = decode(Buffer.isBuffer(body) ? body : Buffer.alloc(0))
    const plain = given.get('decompress') === '1' && bytes.length > 0 ? readBlocks(bytes, MOST_SQL) : bytes
    return [given.get('query'), new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain)]
      .filter(Boolean)
      .join('\n')
  } catch (error) {
    throw new SqlRefused(62, 'SYNTAX_ERROR', `the statement cannot be read: ${(error as Error).message}`)
  }
}

function unsupported(what: string): SqlRefused {
  return new SqlRefused(48, 'NOT_IMPLEMENTED', `${what} is not offered here`)
}

const ENCODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
  gzip: () => zlib.createGzip({ level: 3 }),
  deflate: () => zlib.createDeflate({ level: 3 }),
  br: () => zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } }),
  zstd: () => zlib.createZstdCompress(),
}

/** As ClickHouse does it: where the client takes it, and asks for it besides. */
export function encoded(
  body: Readable,
  { headers }: FastifyRequest,
  reply: FastifyReply,
  given: URLSearchParams,
): NodeJS.ReadableStream {
  if (given.get('enable_http_compression') !== '1') return body
  const taken = String(headers['accept-encoding'] ?? '')
    .split(',')
    .map(one => one.split(';')[0]?.trim() ?? '')
  const encoding = taken.find(one => Object.hasOwn(ENCODERS, one))
  if (encoding === undefined) return body
  reply.header('content-encoding', encoding)
  // What goes wrong on either side ends the other; the answer's own stream tells it.
  return pipeline(body, (ENCODERS[encoding] as () => NodeJS.ReadWriteStream)(), () => {})
}
