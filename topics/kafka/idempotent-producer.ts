/** The producer id under which appends outside transactions go: the broker takes each numbered batch of it once. */
import type { ProducerIdentity } from './batch.ts'
import type { KafkaClient } from './client.ts'
import { isRetriable } from './errors.ts'
import { retry } from './retry.ts'

const OPEN_MS = 5_000
/** Required by the request; without a transactional id it means nothing. */
const TRANSACTION_TIMEOUT_MS = 60_000

export class IdempotentProducer {
  readonly #client: Pick<KafkaClient, 'onAnyBroker'>
  #identity: ProducerIdentity | null = null
  #opening: Promise<void> | null = null

  constructor(client: Pick<KafkaClient, 'onAnyBroker'>) {
    this.#client = client
  }

  /** Null until `open` has resolved. */
  get identity(): ProducerIdentity | null {
    return this.#identity
  }

  /** Asks for a new id; callers at the same time share it. @throws {LogError} `unavailable` */
  open(): Promise<void> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null
    })
    return this.#opening
  }

  /** Sequence numbers of this identity are no longer known: lanes that have none get another. Lanes that use it keep it. */
  drop(identity: ProducerIdentity | null): void {
    if (this.#identity === identity) this.#identity = null
  }

  async #open(): Promise<void> {
    const init = { transactionalId: null, transactionTimeout: TRANSACTION_TIMEOUT_MS }
    const { producerId, producerEpoch } = await retry(OPEN_MS, isRetriable, () =>
      this.#client.onAnyBroker(broker => broker.initProducerId(init)),
    )
    this.#identity = { producerId: BigInt(producerId), producerEpoch, transactional: false }
  }
}
