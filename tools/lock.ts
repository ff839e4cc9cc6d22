/**
 * Keeps `package-lock.json` complete. A registry that does not carry the optional packages of every platform makes npm leave them
 * out of the lock, and `npm ci` then refuses it elsewhere. Without arguments it checks; `--write` (npm run lock) completes.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

if (import.meta.main) {
  const file = join(import.meta.dirname, '../package-lock.json')
  const lock = JSON.parse(readFileSync(file, 'utf8')) as Lock
  const lacking = missing(lock)
  const addresses = Object.entries(lock.packages).filter(([, { resolved }]) => resolved?.startsWith('http'))
  if (process.argv.includes('--write')) {
    for (const [, entry] of addresses) delete entry.resolved
    const all = Object.entries({ ...lock.packages, ...lacking }).sort(([a], [b]) => (a < b ? -1 : 1))
    writeFileSync(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(all) }, null, 2)}\n`)
  } else if (Object.keys(lacking).length > 0 || addresses.length > 0) {
    for (const name of Object.keys(lacking)) console.error(`package-lock.json lacks ${name}`)
    for (const [name] of addresses) console.error(`package-lock.json records the download address of ${name}`)
    console.error('complete it with: npm run lock')
    process.exit(1)
  }
}
