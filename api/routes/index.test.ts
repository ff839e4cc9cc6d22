import { expect, test } from 'vitest'
import { COMMAND_TARGETS, PERMISSIONS, ROUTES } from './index.ts'

test('who may do what', () => {
  const table = Object.fromEntries(PERMISSIONS.map(({ name, roles }) => [name, roles.join(' ')]))
  expect(table).toEqual({
    'venues:read': 'admin agent staff analyst ops',
    'venues:refresh': 'admin agent staff ops',
    'venues:override': 'admin agent',
    'conversations:read': 'admin agent staff',
    'conversations:write': 'admin agent',
    'conversations:approve': 'admin agent',
    'alerts:read': 'admin agent staff ops',
    'issues:read': 'admin agent staff ops',
    'sync:read': 'admin agent ops',
    'quarantine:read': 'admin ops',
    'quarantine:write': 'admin ops',
    'tasks:read': 'admin ops',
    'tasks:write': 'admin ops',
    'tenants:read': 'admin agent ops',
    'tenants:change': 'admin',
    'audit:read': 'admin',
    'cache:flush': 'admin ops',
    'settings:read': 'admin ops',
    'people:read': 'admin',
    'people:write': 'admin',
    'persons:export': 'admin',
    'persons:erase': 'admin',
    'analytics:query': 'admin analyst',
    'self:read': 'admin agent staff analyst ops',
    'self:write': 'admin agent staff analyst ops',
  })
})

test('a permission is declared once', () => {
  expect(new Set(PERMISSIONS.map(({ name }) => name)).size).toBe(PERMISSIONS.length)
})

test('each kind of object that commands are given to has its own inbox', () => {
  expect(COMMAND_TARGETS.map(({ name, inbox, profiles }) => [name, inbox.name, profiles])).toEqual([
    ['venue', 'venue.inbox', 'venues'],
    ['conversation', 'conversation.inbox', 'conversations'],
    ['tenant', 'tenant.inbox', 'tenant_settings'],
  ])
})

test('each group adds routes of its own', () => {
  expect(new Set(ROUTES.map(({ routes }) => routes)).size).toBe(ROUTES.length)
})
