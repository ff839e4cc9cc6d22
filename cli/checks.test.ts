import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { wrongImports } from './imports.ts'
import { missing } from './lock.ts'

describe('the check of import directions', () => {
  const root = mkdtempSync(join(tmpdir(), 'imports-'))
  afterAll(() => rmSync(root, { recursive: true }))
  const file = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }

  it('names each import that points the wrong way, and no other', () => {
    file('engine/a.ts', "import { x } from '../topics/log.ts'\nimport { y } from '../processors/venue/actor.ts'\n")
    file('processors/b.ts', "import '../engine/a.ts'\nconst z = await import('../connectors/c.ts')\n")
    file('processors/b.test.ts', "import x from '../connectors/c.ts'\n")
    file('api/d.ts', "import x from '../engine/a.ts'\nimport y from '../connectors/c.ts'\n")
    file('main.ts', "import x from './api/d.ts'\n")
    expect(wrongImports(root).sort()).toEqual([
      expect.stringMatching(/^api\/d\.ts:2 imports connectors\/c\.ts/),
      expect.stringMatching(/^engine\/a\.ts:2 imports processors\/venue\/actor\.ts; engine may import topics, domain, schemas/),
      expect.stringMatching(/^processors\/b\.ts:2 imports connectors\/c\.ts/),
    ])
  })
})

describe('the check of the lock file', () => {
  it('finds optional packages without an entry, with the platform that their name says', () => {
    const packages = {
      'node_modules/tool': {
        version: '1.0.0',
        optionalDependencies: { '@tool/linux-x64-musl': '1.0.0', '@tool/darwin-arm64': '1.0.0', ranged: '^2.0.0' },
      },
      'node_modules/@tool/darwin-arm64': { version: '1.0.0' },
    }
    expect(missing({ packages })).toEqual({
      'node_modules/@tool/linux-x64-musl': { version: '1.0.0', os: ['linux'], cpu: ['x64'], libc: ['musl'], optional: true },
    })
  })
})
