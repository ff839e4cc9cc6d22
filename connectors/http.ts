/** Requests over HTTP, with errors that say whether anything was sent. */
import { HttpFailure, TransportFailure } from './call-errors.ts'

/**
 * Fetches a URL and reads the answer as JSON (null where it is empty).
 * @throws {HttpFailure} for a status that is not 2xx
 * @throws {TransportFailure} when no answer came, or one that is not JSON
 */
export async function fetchJson(
  url: string | URL,
  init: RequestInit,
  signal: AbortSignal,
): Promise<{ body: unknown; headers: Headers }> {
  const { text, response } = await fetchText(url, init, signal)
  if (!response.ok) throw new HttpFailure(response.status, text, response.headers)
  try {
    return { body: text === '' ? null : JSON.parse(text), headers: response.headers }
  } catch (error) {
    throw new TransportFailure(`answered HTTP ${response.status} with what is not JSON: ${text.slice(0, 100)}`, true, {
      cause: error,
    })
  }
}

async function fetchText(url: string | URL, init: RequestInit, signal: AbortSignal) {
  try {
    const response = await fetch(url, { ...init, signal })
    return { text: await response.text(), response }
  } catch (error) {
    if (signal.aborted) throw error
    const cause = (error as { cause?: { code?: string; message?: string } }).cause
    const left = !NEVER_CONNECTED.includes(cause?.code ?? '')
    throw new TransportFailure(cause?.message || (error as Error).message, left, { cause: error })
  }
}

/** Error codes of Node and undici for a connection that was never made. */
const NEVER_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']
