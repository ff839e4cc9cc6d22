import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('a run that another run has started keeps its servers apart from those of the other', () => {
  const others = process.env.BMA_STACK_RUN
  expect(others).toMatch(/stack-of-run-\d+-/)
  const script = `await import(${JSON.stringify(join(import.meta.dirname, '../../vitest.config.ts'))})
    const first = process.env.BMA_STACK_RUN
    await import(${JSON.stringify(join(import.meta.dirname, '../../vitest.config.ts?again'))})
    console.log(JSON.stringify([process.pid, first, process.env.BMA_STACK_RUN]))`
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  const [pid, own, again] = JSON.parse(stdout)
  rmSync(own, { recursive: true })
  expect(own).toContain(`stack-of-run-${pid}-`)
  expect(again).toBe(own)
})
