/**
 * Keeps `package-lock.json` complete. A registry that does not carry the optional packages of every platform makes npm leave them
 * out of the lock, and `npm ci` then refuses it elsewhere.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { main } from './command.ts'

interface Entry {
  version?: string
  resolved?: string
  os?: string[]
  cpu?: string[]
  libc?: string[]
  optional?: boolean
  optionalDependencies?: Record<string, string>
}
interface Lock {
  packages: Record<string, Entry>
}

const OS = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openbsd', 'netbsd', 'sunos', 'aix', 'openharmony']
const CPU = ['x64', 'arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x']

/** Optional packages with an exact version that have no entry of their own, as entries. */
export function missing({ packages }: Lock): Record<string, Entry> {
  const found: Record<string, Entry> = {}
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const known = packages[`node_modules/${name}`] ?? packages[`${path}/node_modules/${name}`]
      if (known !== undefined || !/^\d+\.\d+\.\d+/.test(version)) continue
      const words = name.split(/[/-]/)
      const os = OS.filter(o => words.includes(o))
      const cpu = CPU.filter(c => words.includes(c))
      found[`node_modules/${name}`] = {
        version,
        ...(os.length > 0 ? { os } : {}),
        ...(cpu.length > 0 ? { cpu } : {}),
        ...(words.includes('musl') ? { libc: ['musl'] } : {}),
        optional: true,
      }
    }
  }
  return found
}

const FILE = join(import.meta.dirname, '../package-lock.json')

if (import.meta.main)
  await main({
    name: 'npm run lock --',
    summary: 'Completes package-lock.json: optional packages of every platform, and no download addresses.',
    options: { verify: { type: 'boolean', doc: 'changes nothing, and fails where something is missing' } },
    run: ({ verify }) => (verify ? verified() : complete()),
  })

function read(): Lock {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Lock
}

function withAddress({ packages }: Lock): [string, Entry][] {
  return Object.entries(packages).filter(([, { resolved }]) => resolved?.startsWith('http'))
}

function complete(): number {
  const lock = read()
  for (const [, entry] of withAddress(lock)) delete entry.resolved
  const all = Object.entries({ ...lock.packages, ...missing(lock) }).sort(([a], [b]) => (a < b ? -1 : 1))
  writeFileSync(FILE, `${JSON.stringify({ ...lock, packages: Object.fromEntries(all) }, null, 2)}\n`)
  return 0
}

function verified(): number {
  const lock = read()
  const wrong = [
    ...Object.keys(missing(lock)).map(name => `package-lock.json lacks ${name}`),
    ...withAddress(lock).map(([name]) => `package-lock.json records the download address of ${name}`),
  ]
  for (const line of wrong) console.error(line)
  if (wrong.length > 0) console.error('complete it with: npm run lock')
  return wrong.length === 0 ? 0 : 1
}
