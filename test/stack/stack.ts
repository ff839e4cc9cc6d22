/**
 * The real servers that the service runs on, on free ports of loopback: Kafka (KRaft, one node), a Confluent-compatible schema
 * registry (Apicurio), Redis, Postgres. Data in a temporary folder, gone with `stop`.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { Kafka, logLevel } from '../../topics/kafka/hardening.ts'
import { kafkaClasspath, program, registryJar } from './install.ts'
import { freePort, Server } from './server.ts'

const run = promisify(execFile)
/** How long one try to reach a server that starts may take. */
const ANSWER_MS = 2_000

export interface StackOptions {
  readonly only?: readonly Part[] | undefined
  /** For data and logs; a new one in the machine's folder for temporary files by default. Gone with `stop`. */
  readonly folder?: string
  /** Of Kafka: levels as an older cluster has agreed on them. */
  readonly features?: Readonly<Record<string, number>> | undefined
  /** The servers outlive this process; `stop` ends them still. */
  readonly detached?: boolean
  /** Told of each process before it is waited for. */
  readonly spawned?: (name: string, pid: number) => void
}
export type Part = 'kafka' | 'registry' | 'redis' | 'postgres'

export interface Stack {
  readonly folder: string
  /** Process ids by part. */
  readonly pids: Readonly<Partial<Record<Part, number>>>
  /** Addresses as the service's settings. */
  readonly env: Readonly<Record<string, string>>
  readonly broker: Broker | null
  stop(): Promise<void>
}

/** @throws {StackMissing} when something needed cannot be had here. */
export async function startStack({
  only = ['kafka', 'registry', 'redis', 'postgres'],
  folder = mkdtempSync(join(tmpdir(), 'stack-')),
  features = {},
  detached = false,
  spawned,
}: StackOptions = {}): Promise<Stack> {
  mkdirSync(folder, { recursive: true })
  const servers = new Map<Part, Server>()
  const env: Record<string, string> = {}
  let broker: Broker | null = null
  const stop = async () => {
    await Promise.all([...servers.values()].map(server => server.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  const start: Record<Part, () => Promise<void>> = {
    kafka: async () => {
      broker = await startBroker({ folder: join(folder, 'kafka'), features, detached, spawned })
      servers.set('kafka', broker.server)
      env.KAFKA_BROKERS = broker.address
    },
    registry: async () => {
      const [java, jar, port] = await Promise.all([program('java'), registryJar(), freePort()])
      const url = `http://127.0.0.1:${port}/apis/ccompat/v7`
      const server = new Server({
        name: 'the schema registry',
        command: java,
        args: ['-Xmx384m', '-XX:+UseSerialGC', '-Dquarkus.http.host=127.0.0.1', `-Dquarkus.http.port=${port}`, '-jar', jar],
        logFile: join(folder, 'registry.log'),
        ready: async () => (await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(ANSWER_MS) })).ok,
        detached,
        spawned,
      })
      servers.set('registry', server)
      await server.start()
      env.SCHEMA_REGISTRY_URL = url
    },
    redis: async () => {
      const [command, port] = await Promise.all([program('redis-server'), freePort()])
      const server = new Server({
        name: 'Redis',
        command,
        args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder],
        logFile: join(folder, 'redis.log'),
        ready: () => pings(port),
        detached,
        spawned,
      })
      servers.set('redis', server)
      await server.start()
      env.REDIS_URL = `redis://127.0.0.1:${port}`
    },
    postgres: async () => {
      const [bin, port] = await Promise.all([program('postgres'), freePort()])
      const data = join(folder, 'postgres')
      // Postgres refuses to run as root.
      const uid = process.getuid?.() === 0 ? await uidOf('postgres') : undefined
      mkdirSync(data)
      if (uid !== undefined) for (const path of [folder, data]) chownSync(path, uid, uid)
      const as = uid === undefined ? {} : { uid, gid: uid }
      await run(join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], as)
      const url = `postgresql://postgres@127.0.0.1:${port}/postgres`
      const server = new Server({
        name: 'Postgres',
        command: join(bin, 'postgres'),
        args: ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', '-c', 'fsync=off', '-c', 'max_connections=200'],
        logFile: join(folder, 'postgres.log'),
        ready: () => answersSql(url),
        stopSignal: 'SIGINT',
        detached,
        spawned,
        ...(uid === undefined ? {} : { uid }),
      })
      servers.set('postgres', server)
      await server.start()
      env.DATABASE_URL = url
    },
  }
  const started = await Promise.allSettled(only.map(part => start[part]()))
  const failed = started.find(s => s.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  return { folder, env, broker, pids: Object.fromEntries([...servers].map(([name, s]) => [name, s.pid])), stop }
}

/** A broker of one's own: it can be killed, and started again on the same port and data. */
export interface Broker {
  readonly address: string
  readonly server: Server
}

export async function startBroker({
  folder,
  properties = {},
  proxied,
  features = {},
  detached = false,
  spawned,
}: {
  folder: string
  /** Levels of features, as an older cluster has agreed on them; the newest of the others. */
  features?: Readonly<Record<string, number>>
  /** A second listener, whose clients are told to come by another port: that of a proxy. */
  proxied?: { readonly port: number; readonly by: number }
  properties?: Readonly<Record<string, string>>
  detached?: boolean
  spawned?: ((name: string, pid: number) => void) | undefined
}): Promise<Broker> {
  const [java, classpath, port, controller] = await Promise.all([program('java'), kafkaClasspath(), freePort(), freePort()])
  mkdirSync(folder, { recursive: true })
  const data = join(folder, 'data')
  const address = `127.0.0.1:${port}`
  const listeners = { PLAINTEXT: address, ...(proxied === undefined ? {} : { PROXIED: `127.0.0.1:${proxied.port}` }) }
  const advertised = { PLAINTEXT: address, ...(proxied === undefined ? {} : { PROXIED: `127.0.0.1:${proxied.by}` }) }
  const named = (of: object) => Object.entries(of).map(([name, at]) => `${name}://${at}`)
  const settings = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controller}`,
    listeners: [...named(listeners), `CONTROLLER://127.0.0.1:${controller}`].join(','),
    'advertised.listeners': named(advertised).join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT',
    'log.dirs': data,
    'num.network.threads': '2',
    'num.io.threads': '4',
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '500',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
    'log.cleaner.backoff.ms': '500',
    'log.cleaner.dedupe.buffer.size': '16777216',
    'log.retention.check.interval.ms': '1000',
    'log.segment.delete.delay.ms': '1000',
    'offsets.retention.check.interval.ms': '1000',
    ...properties,
  }
  const file = join(folder, 'server.properties')
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  if (!existsSync(join(data, 'meta.properties'))) {
    const cluster = randomBytes(16).toString('base64url')
    const quick = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', classpath]
    const levels = Object.entries(features).map(([name, level]) => `--feature=${name}=${level}`)
    const format = ['format', `--cluster-id=${cluster}`, '-c', file, '--ignore-formatted', ...levels]
    await run(java, [...quick, 'kafka.tools.StorageTool', ...format])
  }
  const server = new Server({
    name: 'Kafka',
    command: java,
    args: ['-Xms256m', '-Xmx768m', '-XX:+UseG1GC', '-cp', classpath, 'kafka.Kafka', file],
    logFile: join(folder, 'kafka.log'),
    ready: () => answersKafka(address),
    detached,
    spawned,
  })
  await server.start()
  return { address, server }
}

async function answersKafka(address: string): Promise<boolean> {
  const admin = new Kafka({
    brokers: [address],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    connectionTimeout: 500,
    requestTimeout: ANSWER_MS,
  }).admin()
  try {
    await admin.connect()
    return (await admin.describeCluster()).brokers.length > 0
  } finally {
    await admin.disconnect()
  }
}

function pings(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', data => {
      socket.destroy()
      resolve(data.toString().startsWith('+PONG'))
    })
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)))
    socket.once('error', reject)
  })
}

async function answersSql(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: ANSWER_MS, query_timeout: ANSWER_MS })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query('SELECT 1')).rowCount === 1
  } finally {
    await client.end().catch(() => {})
  }
}

async function uidOf(user: string): Promise<number> {
  return Number((await run('id', ['-u', user])).stdout)
}
