/** How a cluster is reached. */
import type { SASLOptions } from 'kafkajs'
import { Kafka, type KafkaOptions, logLevel } from './hardening.ts'

export interface KafkaSettings {
  readonly brokers: readonly string[]
  readonly clientId?: string
  /** Prefix of topics, groups and transactional ids: several installations may share a cluster. */
  readonly prefix?: string
  /** TLS; `true` uses the system's certificate authorities. */
  readonly ssl?: KafkaOptions['ssl']
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** A request fails when there is no answer within this time, ms. */
  readonly requestTimeout?: number
}

/** A kafkajs instance with these settings. */
export function kafkaOf(settings: KafkaSettings): InstanceType<typeof Kafka> {
  const { brokers, clientId = 'bma', ssl, sasl, requestTimeout = 10_000 } = settings
  return new Kafka({
    clientId,
    brokers: [...brokers],
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl: sasl as SASLOptions }),
    connectionTimeout: 3_000,
    authenticationTimeout: 5_000,
    requestTimeout,
    retry: { initialRetryTime: 20, multiplier: 2, maxRetryTime: 1_000, retries: 5 },
    // Every error that it would log also reaches the caller of the request, who retries or reports it.
    logLevel: logLevel.NOTHING,
  })
}
