/** Checks that imports point one way: api, sinks, connectors, processors → engine → topics → domain → schemas. Nothing may cross that. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { main } from './command.ts'

/** What a folder may import of the others, besides itself. Folders that are not here may import anything. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  schemas: [],
  cache: [],
  clickhouse: [],
  domain: ['schemas'],
  views: ['domain', 'schemas'],
  settings: ['domain', 'schemas'],
  topics: ['domain', 'schemas'],
  engine: ['topics', 'domain', 'schemas'],
  processors: ['engine', 'topics', 'domain', 'schemas'],
  connectors: ['engine', 'settings', 'topics', 'domain', 'schemas'],
  sinks: ['cache', 'clickhouse', 'engine', 'topics', 'views', 'domain', 'schemas'],
  api: ['cache', 'clickhouse', 'engine', 'topics', 'views', 'domain', 'schemas'],
}

/** Every import that points the wrong way, as `file:line imports …`. */
export function wrongImports(root: string): string[] {
  return Object.keys(ALLOWED).flatMap(folder => sources(join(root, folder)).flatMap(file => wrongIn(root, folder, file)))
}

function wrongIn(root: string, folder: string, file: string): string[] {
  const wrong: string[] = []
  for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const target = /(?:from|import\()\s*'(\.[^']+)'/.exec(line)?.[1]
    if (target === undefined) continue
    const to = normalize(relative(root, join(dirname(file), target)))
    const into = to.split('/')[0] as string
    if (TESTING.test(to)) {
      wrong.push(`${relative(root, file)}:${at + 1} imports ${to}; only tests may import from a testing folder`)
      continue
    }
    if (into === folder || ALLOWED[folder]?.includes(into)) continue
    wrong.push(
      `${relative(root, file)}:${at + 1} imports ${to}; ${folder} may import ${ALLOWED[folder]?.join(', ') || 'nothing'}`,
    )
  }
  return wrong
}

/** What only tests use; it is no part of the image. */
const TESTING = /(^|\/)testing\//
/** Tests and what only they use may cross. */
const TESTS = /\.test\.ts$|(^|\/)testing\//

function sources(folder: string): string[] {
  let entries: string[]
  try {
    entries = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
  return entries.filter(name => name.endsWith('.ts') && !TESTS.test(name)).map(name => join(folder, name))
}

if (import.meta.main)
  await main({
    name: 'node cli/imports.ts',
    summary: 'Checks that imports point one way.',
    options: {},
    run: () => {
      const wrong = wrongImports(join(import.meta.dirname, '..'))
      for (const line of wrong) console.error(line)
      return wrong.length === 0 ? 0 : 1
    },
  })
