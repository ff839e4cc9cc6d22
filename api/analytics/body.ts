/** Reads the statement of a request, however it was sent, and compresses its response. */
import { pipeline, type Readable } from 'node:stream'
import * as zlib from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readBlocks } from '../../clickhouse/blocks.ts'
import { MAX_SQL_BYTES, SqlRefused } from './parse.ts'

const DECODE_LIMIT = { maxOutputLength: MAX_SQL_BYTES }
const DECODERS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  identity: bytes => bytes,
  gzip: bytes => zlib.gunzipSync(bytes, DECODE_LIMIT),
  deflate: bytes => zlib.inflateSync(bytes, DECODE_LIMIT),
  br: bytes => zlib.brotliDecompressSync(bytes, DECODE_LIMIT),
  zstd: bytes => zlib.zstdDecompressSync(bytes, DECODE_LIMIT),
}

/**
 * The statement is in the URL, in the body, or split between them, with HTTP compression or ClickHouse's own.
 * @throws {SqlRefused}
 */
export function readStatement({ body, headers }: FastifyRequest, given: URLSearchParams): string {
  if (headers['content-type']?.startsWith('multipart/')) throw unsupported('a multipart form')
  const encoding = headers['content-encoding'] ?? 'identity'
  const decode = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined
  if (decode === undefined) throw unsupported(`a statement with the encoding ${encoding}`)
  try {
    const bytes = decode(Buffer.isBuffer(body) ? body : Buffer.alloc(0))
    const plain = given.get('decompress') === '1' && bytes.length > 0 ? readBlocks(bytes, MAX_SQL_BYTES) : bytes
    return [given.get('query'), new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plain)]
      .filter(Boolean)
      .join('\n')
  } catch (error) {
    throw new SqlRefused(62, 'SYNTAX_ERROR', `cannot decode the statement: ${(error as Error).message}`)
  }
}

function unsupported(what: string): SqlRefused {
  return new SqlRefused(48, 'NOT_IMPLEMENTED', `${what} is not supported here`)
}

const ENCODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
  gzip: () => zlib.createGzip({ level: 3 }),
  deflate: () => zlib.createDeflate({ level: 3 }),
  br: () => zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } }),
  zstd: () => zlib.createZstdCompress(),
}

/** As in ClickHouse, only if the client both accepts it and requests it by parameter. */
export function compressed(
  body: Readable,
  { headers }: FastifyRequest,
  reply: FastifyReply,
  given: URLSearchParams,
): NodeJS.ReadableStream {
  if (given.get('enable_http_compression') !== '1') return body
  const accepted = String(headers['accept-encoding'] ?? '')
    .split(',')
    .map(one => one.split(';')[0]?.trim() ?? '')
  const encoding = accepted.find(one => Object.hasOwn(ENCODERS, one))
  if (encoding === undefined) return body
  reply.header('content-encoding', encoding)
  // An error on either side ends the other; the response stream reports it.
  return pipeline(body, (ENCODERS[encoding] as () => NodeJS.ReadWriteStream)(), () => {})
}
