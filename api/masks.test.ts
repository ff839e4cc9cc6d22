import { expect, test } from 'vitest'
import { masked } from './masks.ts'

test.each([
  ['', ''],
  ['Nok', 'N•••'],
  ['+66 80 000 0123', '+66•••••123'],
  ['66800000123', '66•••••123'],
  ['nok@example.com', 'n•••@example.com'],
  ['ask nok@example.com, else +66800000123', 'a•••'],
  ['nok@example.com +66800000123', 'n•••'],
  ['nok@example.com/+66800000123', 'n•••'],
  ['nok@example.com@66800000123', 'n•••'],
  ['@nok', '@•••'],
  ['ณก', 'ณ•••'],
])('of %j there is left %j', (text, left) => {
  expect(masked(text)).toBe(left)
})
