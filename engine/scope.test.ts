import { expect, it } from 'vitest'
import { alerts, conversationInbox } from '../topics/catalog.ts'
import type { ActorDefinition } from './actor.ts'
import { forward } from './forward.ts'
import { scopeOf } from './scope.ts'
import { bounds } from './testing/bounds-actor.ts'

const at = { topic: 'facts', partition: 2 }
const inbox = { identity: 'inbox', partitions: 3, scope: '' }

it('follows from the changelog, and after an inbox was accepted also from that decision', () => {
  const definition = bounds({}) as never as ActorDefinition
  expect(scopeOf(definition, 'log', inbox, at)).toBe('log/facts/2')
  expect(scopeOf(definition, 'log', { ...inbox, scope: '/inbox.1' }, at)).toBe('log/inbox.1/facts/2')
})

it('of a stateless actor follows from its name and source, not from its changelog', () => {
  const definition = forward({ name: 'copy', from: alerts, to: conversationInbox, forward: () => null })
  expect(scopeOf(definition, 'log', inbox, at)).toBe('copy/inbox/facts/2')
  expect(scopeOf(definition, 'other log', { ...inbox, scope: '/inbox.1' }, at)).toBe('copy/inbox/inbox.1/facts/2')
})
