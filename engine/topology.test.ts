import { describe, expect, it } from 'vitest'
import { defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { type ActorDefinition, actor } from './actor.ts'
import { forward } from './forward.ts'
import { drawMermaid, drawText, topologyOf } from './topology.ts'

const inbox = defineTopic('shop.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS])
const facts = defineTopic('shop.facts', 'key', ['TrialOutput'])
const journal = defineTopic('shop.journal', 'key', ['TrialDone'])
const shop = actor({
  name: 'shop',
  inbox,
  state: 'TrialState',
  on: { TrialInput: state => state, TrialDone: state => state },
  timers: { open: state => state },
  effects: { deliver: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 1 } },
  lookups: { price: { input: 'TrialEffect', result: 'TrialDone' } },
  journal,
  emits: [facts],
}) as unknown as ActorDefinition
const back = forward({ name: 'shop-again', from: facts, to: inbox, forward: () => null })

describe('a topology', () => {
  it('says who reads, writes and does what', () => {
    const { nodes, topics, sources } = topologyOf([{ group: 'g', actor: shop }])
    expect(nodes).toEqual([
      {
        name: 'shop',
        kind: 'actor',
        group: 'g',
        reads: 'shop.inbox',
        writes: ['shop.facts', 'shop.journal'],
        effects: ['deliver'],
        timers: ['open'],
        lookups: ['price'],
      },
    ])
    expect([topics, sources]).toEqual([['shop.facts', 'shop.inbox', 'shop.journal'], ['shop.inbox']])
  })

  it('follows forwards: an inbox that one writes to is no source', () => {
    const placed = [
      { group: 'g', actor: shop },
      { group: 'f', actor: back },
    ]
    const topology = topologyOf(placed)
    expect(topology.sources).toEqual([])
    expect(topology.nodes[1]).toMatchObject({ kind: 'forward', reads: 'shop.facts', writes: ['shop.inbox'] })
  })

  it('is drawn as text and as a diagram', () => {
    const topology = topologyOf([
      { group: 'g', actor: shop },
      { group: 'f', actor: back },
    ])
    expect(drawText(topology)).toBe(`shop  (actor, group g)
  reads    shop.inbox
  writes   shop.facts, shop.journal
  effects  deliver
  timers   open
  lookups  price

shop-again  (forward, group f)
  reads    shop.facts
  writes   shop.inbox
`)
    expect(drawMermaid(topology)).toBe(`flowchart LR
  topic_shop_facts([shop.facts])
  topic_shop_inbox([shop.inbox])
  topic_shop_journal([shop.journal])
  actor_shop[shop]
  actor_shop_again{{shop-again}}
  topic_shop_inbox --> actor_shop
  actor_shop --> topic_shop_facts
  actor_shop --> topic_shop_journal
  actor_shop -.->|deliver| actor_shop_outside((outside))
  topic_shop_facts --> actor_shop_again
  actor_shop_again --> topic_shop_inbox
`)
  })
})
