import { expect, it, vi } from 'vitest'
import { configFrom } from '../config.ts'
import type { ConfiguredConnector } from '../connectors/connector.ts'
import type { LmdbStores } from '../engine/lmdb.ts'
import { CONNECTORS } from '../connectors/index.ts'
import { actorsOf } from './actors.ts'
import { startConnectors } from './connectors.ts'
import type { Parts } from './parts.ts'

const told = vi.hoisted((): string[] => [])
vi.mock('./worker.ts', () => ({
  createWorker: () => ({ start: async () => void told.push('worker runs'), stop: async () => void told.push('worker stopped') }),
}))

it('a connector is told that its actor runs, that it is about to stop, and that it has stopped', async () => {
  const settings = configFrom({})
  const closers: (() => unknown)[] = []
  const parts = { settings, closers, dependencies: {} } as unknown as Parts
  const connectors = CONNECTORS.map(
    (connector): ConfiguredConnector => ({
      connector,
      name: connector.name,
      account: null,
      webhook: null,
      connect: () => ({
        ports: {},
        started: async () => void told.push(`${connector.name} started`),
        stopping: () => told.push(`${connector.name} stopping`),
        close: () => told.push(`${connector.name} closed`),
      }),
    }),
  ).filter(({ name }) => name === 'sheets')
  await startConnectors(parts, actorsOf(settings), {} as LmdbStores, connectors, () => '66')
  expect(told.splice(0)).toEqual(['worker runs', 'sheets started'])
  for (const close of closers.reverse()) await close()
  expect(told).toEqual(['sheets stopping', 'worker stopped', 'sheets closed'])
})
