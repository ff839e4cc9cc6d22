/** Metrics of one server, in a registry of its own. */
import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { WorkerStatus } from '../engine/worker.ts'
import { allTopics } from '../topics/catalog.ts'
import { type Ends, type Log, type Position, partitionKey } from '../topics/log.ts'
import { withTimeout } from '../engine/timeout.ts'
import { isStopped } from './workers.ts'

/** What the workers of this process say of themselves, by name. */
export type Workers = Readonly<Record<string, () => WorkerStatus>>

interface Series {
  readonly requests: Counter.Internal
  readonly durations: Histogram.Internal<'method' | 'route' | 'status'>
}

/** Offsets that take longer are left out: the rest of the metrics is told at once. */
const OFFSETS_MS = 2_000

export interface Metrics {
  readonly registry: Registry
  /** Requests to webhooks by what became of them, and the parts of those accepted. */
  readonly webhookRequests: Counter<'channel' | 'outcome'>
  readonly webhookParts: Counter<'channel' | 'part'>
}

/**
 * Counts the requests of this server and serves `/metrics`.
 * @param readers positions of those that read without a group, such as sinks, shown as groups of these names
 * @param workers the workers of this process, by name
 * @param lookUps how hot look-ups ended, by kind, since the start
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
  // Gauges under the name of a counter, which the checks of Prometheus refuse; the same by type, without a sum, stay.
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
  /** By route, and under it by method and status: a label is looked up once, not at every request. */
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
    await withTimeout(refresh(), OFFSETS_MS).catch(error => request.log.warn({ err: error }, 'offsets of the log cannot be read'))
    return reply.type(registry.contentType).send(await registry.metrics())
  })
  return {
    registry,
    webhookRequests: new Counter({
      name: 'app_webhook_requests_total',
      help: 'Webhook requests by outcome: accepted, unauthorized, invalid, too_large, unavailable',
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
    help: 'Hot look-ups by kind: hits, misses, failures (the cache could not be asked)',
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

/** Which tasks this process has, where they stand, and which of them do not go on. */
function taskGauges(registry: Registry, workers: Workers): void {
  const registers = [registry]
  const statuses = () => Object.entries(workers).map(([worker, status]) => [worker, status().tasks] as const)
  new Gauge({
    name: 'app_task_position',
    help: 'Next offset to be handled by a task of this process, by the state of the task',
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
    help: 'Tasks of this process by state; all but RUNNING are not handling records',
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
  each('app_task_stopped', '1 while a task stands still until a person decides, or other code comes', isStopped)
  each('app_task_waiting', '1 while a task does not go on, though it is tried again by itself', task => task.waits !== null)
}

/** Whether the workers of this process do their work. */
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
  each('app_worker_assigned', '1 while the group has given the worker its tasks', status => (status.assigned ? 1 : 0))
  each('app_worker_failing', '1 while the cycles of the worker fail', status => (status.failing === null ? 0 : 1))
  each('app_worker_cycle_age_seconds', 'Time since the last cycle that succeeded', status => status.cycleAgeMs / 1000)
}

/** Offsets and lag, under the names of kafka_exporter, which existing dashboards know. Returns what reads them anew. */
function logGauges(registry: Registry, log: Log, readers: Readonly<Record<string, () => readonly Position[]>>) {
  const registers = [registry]
  const end = new Gauge({
    name: 'kafka_topic_partition_current_offset',
    help: 'Next offset to be written',
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
    // What cannot be read is not told: an old number would be taken for the present one.
    for (const gauge of [end, committed, lag]) gauge.reset()
    // Committed offsets before ends: what is appended in between is lag, and never less than none.
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

/** Ends of every topic of the catalog that the log has. */
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
