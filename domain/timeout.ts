export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
}

/**
 * Settles as `promise` does, or rejects once `ms` have passed. A result that comes later is ignored.
 * @throws {TimeoutError} `no answer within … ms`
 */
export async function withTimeout<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TimeoutError(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
