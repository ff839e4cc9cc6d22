/** The topology of a set of actors and forwards, derived from their definitions: who reads which topic, writes to which, and does what outside. */
import type { ActorDefinition } from './actor.ts'

/** An actor or a forward, and the group that runs it. */
export interface Placed {
  readonly group: string
  readonly actor: ActorDefinition
}

export interface TopologyNode {
  readonly name: string
  readonly kind: 'actor' | 'forward'
  readonly group: string
  readonly reads: string
  /** Topics that it writes to, its journal included; every actor also has a changelog and writes to the dead letters. */
  readonly writes: readonly string[]
  readonly effects: readonly string[]
  readonly timers: readonly string[]
  readonly lookups: readonly string[]
}

export interface Topology {
  readonly nodes: readonly TopologyNode[]
  /** Topics that are read or written, by name. */
  readonly topics: readonly string[]
  /** Inboxes that no actor writes to: their records come from outside. */
  readonly sources: readonly string[]
}

export function topologyOf(placed: readonly Placed[]): Topology {
  const nodes = placed.map(({ group, actor }): TopologyNode => {
    const { name, inbox, emits, effects = {}, timers = {}, lookups = {}, journal, stateless } = actor
    const writes = [...emits.map(topic => topic.name), ...(journal === undefined ? [] : [journal.name])]
    return {
      name,
      kind: stateless === true ? 'forward' : 'actor',
      group,
      reads: inbox.name,
      writes: [...new Set(writes)],
      effects: Object.keys(effects),
      timers: Object.keys(timers),
      lookups: Object.keys(lookups),
    }
  })
  const written = new Set(nodes.flatMap(node => node.writes))
  const read = new Set(nodes.map(node => node.reads))
  return {
    nodes,
    topics: [...new Set([...read, ...written])].sort(),
    sources: [...read].filter(topic => !written.has(topic)).sort(),
  }
}

/** For a terminal: one block per actor. */
export function drawText({ nodes, sources }: Topology): string {
  const blocks = nodes.map(({ name, kind, group, reads, ...lists }) => {
    const lines = Object.entries(lists)
      .filter(([, names]) => names.length > 0)
      .map(([what, names]) => `  ${what.padEnd(8)} ${names.join(', ')}`)
    const from = sources.includes(reads) ? ' (from outside)' : ''
    return [`${name}  (${kind}, group ${group})`, `  reads    ${reads}${from}`, ...lines].join('\n')
  })
  return `${blocks.join('\n\n')}\n`
}

/** For documents: topics are rounded, actors are boxes, effects lead outside by dotted arrows. */
export function drawMermaid({ nodes, topics }: Topology): string {
  const lines = ['flowchart LR']
  for (const topic of topics) lines.push(`  ${topicId(topic)}([${topic}])`)
  for (const { name, kind } of nodes)
    lines.push(kind === 'forward' ? `  ${actorId(name)}{{${name}}}` : `  ${actorId(name)}[${name}]`)
  for (const { name, reads, writes, effects } of nodes) {
    lines.push(`  ${topicId(reads)} --> ${actorId(name)}`)
    for (const topic of writes) lines.push(`  ${actorId(name)} --> ${topicId(topic)}`)
    if (effects.length > 0) lines.push(`  ${actorId(name)} -.->|${effects.join(', ')}| ${actorId(name)}_outside((outside))`)
  }
  return `${lines.join('\n')}\n`
}

const topicId = (name: string) => `topic_${name.replaceAll(/\W/g, '_')}`
const actorId = (name: string) => `actor_${name.replaceAll(/\W/g, '_')}`
