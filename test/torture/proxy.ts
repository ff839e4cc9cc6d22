/**
 * A TCP proxy in front of a broker that knows Kafka's framing, so that it can lose the answer to one kind of request, delay such a
 * request, or replace it.
 *
 *   request   size 4 · api key 2 · api version 2 · correlation id 4 · …
 *   response  size 4 · correlation id 4 · …
 */
import { createServer, connect, type Server, type Socket } from 'node:net'

export const API = {
  Produce: 0,
  Fetch: 1,
  Metadata: 3,
  OffsetFetch: 9,
  JoinGroup: 11,
  Heartbeat: 12,
  SyncGroup: 14,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const
export type ApiName = keyof typeof API

/** Replaces requests or answers of one kind. Returning the given frame leaves it unchanged. */
export interface Interceptor {
  readonly api: ApiName
  /** What it returns is no longer a valid answer: no other interceptor can change it after that. */
  readonly breaks?: boolean
  request?(frame: Buffer, version: number): Buffer
  /** @param asked the request as it was received @returns null: breaks the connection after the first half of the answer */
  answer?(frame: Buffer, version: number, asked: Buffer): Buffer | null
}

export interface BrokerProxy {
  readonly port: number
  /** Loses the next answer to such a request, and closes its connection; the broker has carried the request out. */
  lose(api: ApiName): void
  /** Answers that have been lost so far. */
  readonly lost: number
  /** Delays the next request of that kind until the promise has resolved. Resolves once there is such a request. */
  hold(api: ApiName, until: Promise<unknown>): Promise<void>
  /** @returns ends it */
  intercept(interceptor: Interceptor): () => void
  close(): Promise<void>
}

interface Asked {
  readonly api: number
  readonly version: number
  readonly frame: Buffer
  readonly interceptors: readonly Interceptor[]
}

export async function startProxy(target: number): Promise<BrokerProxy> {
  const losing = new Map<number, number>()
  const holding = new Map<number, { until: Promise<unknown>; caught: () => void }>()
  const active = new Set<Interceptor>()
  const sockets = new Set<Socket>()
  let lost = 0
  const server: Server = createServer(client => {
    const broker = connect(target, '127.0.0.1')
    const asked = new Map<number, Asked>()
    for (const socket of [client, broker]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        broker.destroy()
      })
    }
    let before: Promise<unknown> = Promise.resolve()
    onFrames(client, frame => {
      const api = frame.readInt16BE(4)
      const version = frame.readInt16BE(6)
      // An interceptor that has changed a request sees its answer.
      const interceptors = [...active]
        .filter(m => API[m.api] === api)
        .sort((a, b) => Number(a.breaks ?? false) - Number(b.breaks ?? false))
      asked.set(frame.readInt32BE(8), { api, version, frame: interceptors.length === 0 ? NOTHING : frame, interceptors })
      const changed = interceptors.reduce((request, m) => m.request?.(request, version) ?? request, frame)
      const held = holding.get(api)
      holding.delete(api)
      held?.caught()
      // In order: requests behind one that is delayed wait as well.
      before = before.then(() => held?.until).then(() => broker.writable && broker.write(changed))
    })
    onFrames(broker, frame => {
      const correlation = frame.readInt32BE(4)
      const { api = -1, version = 0, frame: request = NOTHING, interceptors = [] } = asked.get(correlation) ?? {}
      asked.delete(correlation)
      let answer = frame
      for (const interceptor of interceptors) {
        const changed = interceptor.answer === undefined ? answer : interceptor.answer(answer, version, request)
        if (changed === null) {
          if (client.writable) client.end(answer.subarray(0, Math.ceil(answer.length / 2)))
          broker.destroy()
          return
        }
        if (interceptor.breaks && changed !== answer) {
          if (client.writable) client.write(changed)
          return
        }
        answer = changed
      }
      const left = losing.get(api) ?? 0
      if (left === 0) {
        if (client.writable) client.write(answer)
        return
      }
      losing.set(api, left - 1)
      lost++
      client.destroy()
      broker.destroy()
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    lose: api => void losing.set(API[api], (losing.get(API[api]) ?? 0) + 1),
    get lost() {
      return lost
    },
    hold: (api, until) => new Promise(caught => holding.set(API[api], { until, caught })),
    intercept: interceptor => {
      active.add(interceptor)
      return () => active.delete(interceptor)
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

const NOTHING = Buffer.alloc(0)

function onFrames(socket: Socket, each: (frame: Buffer) => void): void {
  let chunks: Buffer[] = []
  let length = 0
  socket.on('data', chunk => {
    chunks.push(chunk)
    length += chunk.length
    for (;;) {
      if (length < 4) return
      if ((chunks[0] as Buffer).length < 4) chunks = [Buffer.concat(chunks)]
      const size = (chunks[0] as Buffer).readInt32BE(0) + 4
      if (length < size) return
      const all = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
      each(all.subarray(0, size))
      chunks = [all.subarray(size)]
      length -= size
    }
  })
}
