import { expect, it } from 'vitest'
import { serialized } from './feed.ts'

it('an update that all receive alike is made into text once', () => {
  let made = 0
  const data = { toJSON: () => ({ made: ++made }) }
  const update = { venue: null, owner: 'main', data }
  for (const masked of [undefined, data]) {
    made = 0
    const text = '{"made":1}'
    expect(serialized(masked === undefined ? update : { ...update, masked })).toEqual({ data: text, masked: text })
    expect(made).toBe(1)
  }
  expect(serialized({ ...update, masked: { hidden: true } })).toEqual({ data: '{"made":2}', masked: '{"hidden":true}' })
})
