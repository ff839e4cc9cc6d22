/** Many connections that each ask again as soon as they are answered. Bare sockets, so that the one who asks is not what is measured. */
import { connect, type Socket } from 'node:net'

export interface Load {
  readonly requestsPerSecond: number
  readonly p50: number
  readonly p95: number
  /** Answers that were not 2xx. */
  readonly failed: number
}

/** @param paths asked in turn */
export async function load(
  url: string,
  {
    paths,
    token = '',
    connections = 1_000,
    seconds = 8,
    warmUp = 5,
  }: {
    paths: readonly string[]
    token?: string
    connections?: number
    seconds?: number
    warmUp?: number
  },
): Promise<Load> {
  const { hostname, port } = new URL(url)
  const requests = paths.map(path =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${hostname}:${port}\r\nauthorization: Bearer ${token}\r\n\r\n`),
  )
  const times: number[] = []
  let [failed, next, measuring, over] = [0, 0, false, false]
  const sockets: Socket[] = []
  const ask = (socket: Socket) => {
    const began = performance.now()
    answer(socket, status => {
      if (measuring) {
        times.push(performance.now() - began)
        if (status < 200 || status >= 300) failed++
      }
      if (!over) ask(socket)
    })
    socket.write(requests[next++ % requests.length] as Buffer)
  }
  for (let n = 0; n < connections; n++) {
    const socket = connect(Number(port), hostname)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.on('error', () => failed++)
    sockets.push(socket)
  }
  for (const socket of sockets) ask(socket)
  await new Promise(resolve => setTimeout(resolve, warmUp * 1000))
  measuring = true
  const began = performance.now()
  await new Promise(resolve => setTimeout(resolve, seconds * 1000))
  const elapsed = (performance.now() - began) / 1000
  over = true
  measuring = false
  for (const socket of sockets) socket.destroy()
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN
  return { requestsPerSecond: times.length / elapsed, p50: at(0.5), p95: at(0.95), failed }
}

/** Reads one answer that tells its length. */
function answer(socket: Socket, done: (status: number) => void): void {
  let [left, status] = [-1, 0]
  let head: Buffer | null = null
  const read = (chunk: Buffer) => {
    let rest = chunk.length
    if (left < 0) {
      head = head === null ? chunk : Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      status = Number(head.toString('latin1', 9, 12))
      const length = head.indexOf('content-length: ')
      left = length < 0 || length > end ? 0 : Number.parseInt(head.toString('latin1', length + 16, length + 26), 10)
      rest = head.length - end - 4
    }
    left -= rest
    if (left > 0) return
    socket.off('data', read)
    done(status)
  }
  socket.on('data', read)
}
