import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { allTopics } from '../topics/catalog.ts'
import { serviceTopology, withDiagram } from './topology.ts'

it('docs/ARCHITECTURE.md has the topology of the service; `npm run topology -- --write` puts it there', () => {
  const document = readFileSync(join(import.meta.dirname, '../docs/ARCHITECTURE.md'), 'utf8')
  expect(withDiagram(document, serviceTopology())).toBe(document)
})

it('the service reads and writes topics of the catalog only', () => {
  const names = allTopics().map(({ name }) => name)
  expect(serviceTopology().topics.filter(name => !names.includes(name))).toEqual([])
})

it('refuses a document without a place for the diagram', () => {
  expect(() => withDiagram('# Nothing\n', serviceTopology())).toThrow('no place for the diagram')
})
