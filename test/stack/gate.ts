/** A way to a server that can be shut: connections break, and new ones are refused. */
import { createConnection, createServer, type Server, type Socket } from 'node:net'

export interface Gate {
  readonly port: number
  shut(): void
  open(): Promise<void>
}

export async function openGate(to: { host: string; port: number }): Promise<Gate> {
  const sockets = new Set<Socket>()
  let server: Server
  const listen = (port: number) => {
    server = createServer(socket => {
      const onward = createConnection(to.port, to.host)
      for (const end of [socket, onward]) sockets.add(end.on('error', () => {}))
      // One that ends takes the other with it.
      socket.once('close', () => onward.destroy())
      onward.once('close', () => socket.destroy())
      socket.pipe(onward).pipe(socket)
    })
    return new Promise<number>(resolve => {
      server.listen(port, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
  }
  const port = await listen(0)
  return {
    port,
    shut: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    },
    open: async () => void (await listen(port)),
  }
}

/** The address by way of the gate. */
export function through(gate: Gate, url: string): string {
  const gated = new URL(url)
  gated.port = String(gate.port)
  return gated.href
}
