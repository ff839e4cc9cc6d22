/** For tests on the real servers: those of the environment, of `npm run stack`, or else started once for the whole run. */
import { describe } from 'vitest'
import { StackMissing } from './install.ts'
import { runningStack, sharedStack, stackFolder } from './shared.ts'

const NAMES = ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'REDIS_URL', 'DATABASE_URL'] as const
type Addresses = Readonly<Record<(typeof NAMES)[number], string>>

/**
 * Addresses of the servers. With `BMA_TEST_TRANSACTIONS=1` a cluster is started that has not agreed on the transactions of Kafka 4.
 * @throws {StackMissing} when they cannot be had.
 */
export async function addresses(): Promise<Addresses> {
  if (NAMES.every(name => process.env[name])) return process.env as unknown as Addresses
  const { BMA_TEST_TRANSACTIONS: level, BMA_STACK_RUN: own = '' } = process.env
  if (level !== undefined) return (await sharedStack(own, { features: { 'transaction.version': Number(level) } })) as Addresses
  return (runningStack(stackFolder()) ?? (await sharedStack(own))) as Addresses
}

/**
 * A suite on the real servers. Where they cannot be had it is skipped with one loud line; not so in CI, where it fails.
 */
export async function describeWithStack(name: string, suite: (addresses: Addresses) => void): Promise<void> {
  let found: Addresses
  try {
    found = await addresses()
  } catch (error) {
    if (process.env.CI || !(error instanceof StackMissing)) throw error
    console.warn(`\n!!! "${name}" is SKIPPED, for the real servers cannot be had here: ${error.message}\n`)
    describe.skip(name, () => suite({} as Addresses))
    return
  }
  describe(name, () => suite(found))
}
