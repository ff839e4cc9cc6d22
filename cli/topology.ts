/**
 * `npm run topology`: prints who reads which topic, writes to which and does what outside, derived from the definitions of the actors;
 * with `--mermaid` as a diagram, with `--write` puts the diagram into docs/ARCHITECTURE.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configFrom } from '../config.ts'
import { drawMermaid, drawText, type Topology, topologyOf } from '../engine/topology.ts'
import { actorsOf, groupOf } from '../service/actors.ts'
import { main } from './command.ts'

const DOCUMENT = join(import.meta.dirname, '../docs/ARCHITECTURE.md')
const BEGIN = '<!-- topology -->\n'
const END = '<!-- /topology -->'

/** The service with default settings: settings change what actors do, not what they read and write. */
export function serviceTopology(): Topology {
  return topologyOf(actorsOf(configFrom({})).map(({ worker, actor }) => ({ group: groupOf(worker), actor })))
}

/** The document with the diagram between its marks. @throws if it has none */
export function withDiagram(document: string, topology: Topology): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`the document has no place for the diagram: ${BEGIN.trim()} … ${END}`)
  return `${document.slice(0, begin)}${BEGIN}\`\`\`mermaid\n${drawMermaid(topology)}\`\`\`\n${document.slice(end)}`
}

if (import.meta.main)
  await main({
    name: 'npm run topology --',
    summary: 'Who reads which topic, writes to which and acts outside, derived from the definitions of the actors.',
    options: {
      mermaid: { type: 'boolean', doc: 'prints a diagram' },
      write: { type: 'boolean', doc: 'puts the diagram into docs/ARCHITECTURE.md' },
    },
    run: ({ mermaid, write }) => {
      if (write) writeFileSync(DOCUMENT, withDiagram(readFileSync(DOCUMENT, 'utf8'), serviceTopology()))
      else process.stdout.write(mermaid ? drawMermaid(serviceTopology()) : drawText(serviceTopology()))
      return 0
    },
  })
