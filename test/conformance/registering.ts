import { describe, expect, it } from 'vitest'
import type { SchemaRegistry } from '../../topics/codec.ts'
import { type Kit, newTopic } from './harness.ts'

const schema = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'Thing', namespace: 'conformance', fields })
const a = { name: 'a', type: 'string' }
const b = { name: 'b', type: 'int', default: 0 }

/** The schema registry that comes with the log. */
export function registering(kit: Kit): void {
  describe('the schema registry', () => {
    const opened = async () => {
      const topic = newTopic()
      const log = await kit.open(topic)
      return { log, registry: log.registry as SchemaRegistry, subject: `${topic.name}-Thing` }
    }

    it('gives the same text the same id, under any subject, and returns the text', async () => {
      const { registry, subject } = await opened()
      const id = await registry.register(subject, schema(a))
      expect(await registry.register(subject, schema(a))).toBe(id)
      expect(await registry.register(`${subject}-other`, schema(a))).toBe(id)
      expect(await registry.register(subject, schema(a, b))).not.toBe(id)
      expect(JSON.parse(await registry.schema(id))).toEqual(JSON.parse(schema(a)))
    })

    it('refuses a schema that cannot read every earlier one of its subject, or be read by it', async () => {
      const { registry, subject } = await opened()
      await registry.register(subject, schema(a))
      await registry.register(subject, schema(a, b))
      await expect(registry.register(subject, schema(b))).rejects.toThrow()
      await expect(registry.register(subject, schema(a, { name: 'c', type: 'int' }))).rejects.toThrow()
      await expect(registry.register(subject, schema(a, { name: 'b', type: 'string', default: '' }))).rejects.toThrow()
      expect(await registry.register(`${subject}-other`, schema(b))).toBeGreaterThan(0)
    })

    it('refuses an id that it has not given', async () => {
      const { registry } = await opened()
      await expect(registry.schema(2 ** 30)).rejects.toThrow()
    })

    it('keeps ids over a restart', async () => {
      const { log, registry, subject } = await opened()
      const id = await registry.register(subject, schema(a))
      const again = (await kit.reopen(log)).registry as SchemaRegistry
      expect(await again.register(subject, schema(a))).toBe(id)
      expect(JSON.parse(await again.schema(id))).toEqual(JSON.parse(schema(a)))
    })
  })
}
