/** The cluster that holds the log. */
import { flag, Invalid, number, oneOf, optionalSection, type Setting, secret, text } from './setting.ts'

export interface KafkaConfig {
  readonly brokers: readonly string[]
  readonly registryUrl: string
  /** Before the names of topics, groups and transactional ids. */
  readonly prefix: string
  readonly replicationFactor: number
  /** Of topics that have several, when they are created. */
  readonly partitions: number
  readonly compression: 'none' | 'gzip' | 'zstd'
  readonly sessionTimeoutMs: number
  readonly tls: boolean | { readonly ca: string }
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  } | null
}

const brokers: Setting<string[] | null> = {
  name: 'KAFKA_BROKERS',
  description: 'Brokers of the cluster that holds the log: host:port,host:port. Without them the log is a file in DATA_DIR.',
  default: null,
  secret: false,
  parse: given => {
    if (given === null) return null
    const named = given.split(',').map(broker => broker.trim())
    const wrong = named.find(broker => !/^[^\s:]+:\d{1,5}$/.test(broker))
    if (wrong !== undefined) throw new Invalid(`names "${wrong}"; it must be host:port,host:port`)
    return named
  },
}

const registryUrl: Setting<string | null> = {
  name: 'SCHEMA_REGISTRY_URL',
  description: 'Address of the schema registry.',
  default: null,
  secret: false,
  parse: given => {
    if (given === null || URL.canParse(given)) return given
    throw new Invalid(`is "${given}"; it must be a URL`)
  },
}

export const kafkaSettings = optionalSection(
  'Kafka',
  {
    brokers,
    registryUrl,
    prefix: text('KAFKA_PREFIX', 'Put before the names of topics, groups and transactional ids.', { default: '' }),
    replicationFactor: number('KAFKA_REPLICATION_FACTOR', null, 1, 9, 'Copies of each partition; 3 where there are 3 brokers.'),
    partitions: number('KAFKA_PARTITIONS', 24, 1, 1_000, 'Partitions of topics that have several: final once they are created.'),
    compression: oneOf('KAFKA_COMPRESSION', 'zstd', ['none', 'gzip', 'zstd'], 'Compression of batches.'),
    sessionTimeoutMs: number('KAFKA_SESSION_TIMEOUT_MS', 30_000, 1_000, 300_000, 'Session timeout of group members, ms.'),
    tls: flag('KAFKA_TLS', 'Whether brokers are reached by TLS.'),
    ca: text('KAFKA_TLS_CA', 'Certificate of the authority that signed theirs, in PEM.'),
  },
  ['brokers', 'registryUrl'],
)

export const saslSettings = optionalSection(
  'SASL of Kafka',
  {
    username: text('KAFKA_SASL_USERNAME', 'User at the brokers.'),
    password: secret('KAFKA_SASL_PASSWORD', 'Password of that user.'),
    mechanism: oneOf('KAFKA_SASL_MECHANISM', 'scram-sha-512', ['plain', 'scram-sha-256', 'scram-sha-512'], 'How it logs in.'),
  },
  ['username', 'password'],
)
