/** Metrics of one server, each server with its own registry. */
import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { WorkerStatus } from '../engine/worker.ts'
import { allTopics } from '../topics/catalog.ts'
import { type Ends, type Log, type Position, partitionKey } from '../topics/log.ts'
import { withTimeout } from '../domain/timeout.ts'
import { isStopped } from './workers.ts'

/** Status of the workers of this process, by name. */
export type Workers = Readonly<Record<string, () => WorkerStatus>>

interface Series {
  readonly requests: Counter.Internal
  readonly durations: Histogram.Internal<'method' | 'route' | 'status'>
}

/** Offsets that take longer to read are left out of the response. */
const OFFSETS_TIMEOUT_MS = 2_000

export interface Metrics {
  readonly registry: Registry
  /** Webhook requests by outcome, and the parts of accepted ones. */
  readonly webhookRequests: Counter<'channel' | 'outcome'>
  readonly webhookParts: Counter<'channel' | 'part'>
}

/**
 * Counts the requests of this server and serves `/metrics`.
 * @param readers positions of readers without a consumer group, such as sinks, shown as groups with these names
 * @param lookUps results of cache look-ups by kind, since the start
 */
export function serveMetrics(
  app: FastifyInstance,
  {
    log,
    readers,
    workers,
    lookUps,
  }: {
    log: Log
    lookUps: () => ReadonlyMap<string, LookUps>
    readers: Readonly<Record<string, () => readonly Position[]>>
    workers: Workers
  },
): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  // Gauges named like counters, which Prometheus' linter rejects; the gauges by type remain.
  for (const what of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${what}_total`)
  const labelNames = ['method', 'route', 'status'] as const
  const requests = new Counter({ name: 'http_requests_total', help: 'Requests answered', labelNames, registers })
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from a request to its answer',
    labelNames,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  })
  /** By route, then by method and status, so that labels are looked up once and not per request. */
  const series = new Map<string, Map<string, Series>>()
  app.addHook('onResponse', (request, reply, done) => {
    const { url: route = 'none' } = request.routeOptions
    const of = `${request.method} ${reply.statusCode}`
    let found = series.get(route)?.get(of)
    if (found === undefined) {
      const labels = { method: request.method, route, status: reply.statusCode }
      found = { requests: requests.labels(labels), durations: durations.labels(labels) }
      series.set(route, (series.get(route) ?? new Map()).set(of, found))
    }
    found.requests.inc()
    found.durations.observe(reply.elapsedTime / 1000)
    done()
  })

  const refresh = logGauges(registry, log, readers)
  taskGauges(registry, workers)
  workerGauges(registry, workers)
  lookUpCounter(registry, lookUps)
  if (log.requests !== undefined) requestCounter(registry, log.requests.bind(log))
  app.get('/metrics', { schema: { summary: 'Metrics for Prometheus', produces: 'text/plain' } }, async (request, reply) => {
    await withTimeout(refresh(), OFFSETS_TIMEOUT_MS).catch(error =>
      request.log.warn({ err: error }, 'cannot read offsets from the log'),
    )
    return reply.type(registry.contentType).send(await registry.metrics())
  })
  return {
    registry,
    webhookRequests: new Counter({
      name: 'app_webhook_requests_total',
      help: 'Webhook requests by outcome: accepted, unauthorized, invalid, too_large, unavailable, failed',
      labelNames: ['channel', 'outcome'] as const,
      registers,
    }),
    webhookParts: new Counter({
      name: 'app_webhook_parts_total',
      help: 'Parts of accepted webhooks: message, status, refused',
      labelNames: ['channel', 'part'] as const,
      registers,
    }),
  }
}

export interface LookUps {
  readonly hits: number
  readonly misses: number
  readonly failures: number
}

function lookUpCounter(registry: Registry, lookUps: () => ReadonlyMap<string, LookUps>): void {
  new Counter({
    name: 'app_hot_lookups_total',
    help: 'Cache look-ups by kind: hits, misses, failures (the cache is unavailable)',
    labelNames: ['kind', 'result'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [kind, counts] of lookUps()) for (const [result, n] of Object.entries(counts)) this.inc({ kind, result }, n)
    },
  })
}

function requestCounter(registry: Registry, requests: () => ReadonlyMap<string, number>): void {
  new Counter({
    name: 'app_log_requests_total',
    help: 'Requests of this process to the brokers by kind: name and version',
    labelNames: ['request'] as const,
    registers: [registry],
    collect() {
      this.reset()
      for (const [request, n] of requests()) this.inc({ request }, n)
    },
  })
}

const TASK_STATES = ['CREATED', 'RESTORING', 'RUNNING', 'DRAINING', 'STOPPED', 'CLOSED'] as const

/** Tasks of this process: their positions, and which of them make no progress. */
function taskGauges(registry: Registry, workers: Workers): void {
  const registers = [registry]
  const statuses = () => Object.entries(workers).map(([worker, status]) => [worker, status().tasks] as const)
  new Gauge({
    name: 'app_task_position',
    help: 'Next offset that a task of this process will handle, by the state of the task',
    labelNames: ['worker', 'topic', 'partition', 'state'] as const,
    registers,
    collect() {
      this.reset()
      for (const [worker, tasks] of statuses()) {
        for (const { topic, partition, state, position } of tasks) this.set({ worker, topic, partition, state }, position)
      }
    },
  })
  new Gauge({
    name: 'app_tasks',
    help: 'Tasks of this process by state; only RUNNING ones handle records',
    labelNames: ['worker', 'actor', 'state'] as const,
    registers,
    collect() {
      this.reset()
      for (const [worker, tasks] of statuses()) {
        for (const [actor, of] of Map.groupBy(tasks, task => task.actor)) {
          for (const state of TASK_STATES) this.set({ worker, actor, state }, of.filter(task => task.state === state).length)
        }
      }
    },
  })
  const each = (name: string, help: string, is: (task: WorkerStatus['tasks'][number]) => boolean) =>
    new Gauge({
      name,
      help,
      labelNames: ['worker', 'actor', 'partition'] as const,
      registers,
      collect() {
        this.reset()
        for (const [worker, tasks] of statuses()) {
          for (const task of tasks) this.set({ worker, actor: task.actor, partition: task.partition }, is(task) ? 1 : 0)
        }
      },
    })
  each('app_task_stopped', '1 while a task is halted until an operator decides, or new code is deployed', isStopped)
  each('app_task_waiting', '1 while a task is waiting; it is retried automatically', task => task.waits !== null)
}

/** Health of the workers of this process. */
function workerGauges(registry: Registry, workers: Workers): void {
  const each = (name: string, help: string, of: (status: WorkerStatus) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['worker'] as const,
      registers: [registry],
      collect() {
        this.reset()
        for (const [worker, status] of Object.entries(workers)) this.set({ worker }, of(status()))
      },
    })
  each('app_worker_assigned', '1 while the worker has an assignment of the group', status => (status.assigned ? 1 : 0))
  each('app_worker_failing', '1 while the cycles of the worker fail', status => (status.failing === null ? 0 : 1))
  each('app_worker_cycle_age_seconds', 'Time since the last successful cycle', status => status.cycleAgeMs / 1000)
}

/** Offsets and lag, under the names of kafka_exporter, which existing dashboards use. Returns the function that updates them. */
function logGauges(registry: Registry, log: Log, readers: Readonly<Record<string, () => readonly Position[]>>) {
  const registers = [registry]
  const end = new Gauge({
    name: 'kafka_topic_partition_current_offset',
    help: 'Log end offset',
    labelNames: ['topic', 'partition'] as const,
    registers,
  })
  const labelNames = ['consumergroup', 'topic', 'partition'] as const
  const committed = new Gauge({
    name: 'kafka_consumergroup_current_offset',
    help: 'Next offset to be read by the group',
    labelNames,
    registers,
  })
  const lag = new Gauge({
    name: 'kafka_consumergroup_lag',
    help: 'Records that the group has not read yet',
    labelNames,
    registers,
  })
  let running: Promise<void> | null = null
  const refresh = async () => {
    // Offsets that cannot be read must not show their last value.
    for (const gauge of [end, committed, lag]) gauge.reset()
    // Committed offsets before end offsets, so that lag is never negative.
    const groups = new Map<string, readonly Position[]>()
    for (const group of await log.groups()) groups.set(group, await log.groupOffsets(group))
    for (const [name, positions] of Object.entries(readers)) groups.set(name, positions())
    const ends = await allEnds(log)
    for (const [topic, partitions] of ends) {
      for (const { partition, high } of partitions) end.set({ topic, partition }, high)
    }
    const highs = new Map(
      [...ends].flatMap(([topic, partitions]) =>
        partitions.map(({ partition, high }) => [partitionKey({ topic, partition }), high] as const),
      ),
    )
    for (const [consumergroup, positions] of groups) {
      for (const { topic, partition, offset } of positions) {
        const high = highs.get(partitionKey({ topic, partition }))
        committed.set({ consumergroup, topic, partition }, offset)
        if (high !== undefined) lag.set({ consumergroup, topic, partition }, Math.max(0, high - offset))
      }
    }
  }
  return () => {
    running ??= refresh().finally(() => {
      running = null
    })
    return running
  }
}

/** End offsets of every catalog topic that exists. */
async function allEnds(log: Log): Promise<Map<string, readonly Ends[]>> {
  const found = await Promise.all(
    allTopics().map(async ({ name }) => {
      const ends = await log.ends(name).catch((error: { code?: string }) => {
        if (error.code === 'no_topic') return []
        throw error
      })
      return [name, ends] as const
    }),
  )
  return new Map(found)
}
