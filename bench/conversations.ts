/**
 * The whole service while ever more strangers write to it, three messages each, the next once the last is answered:
 *
 *   npm run bench -- conversations --people 20000 --writing 32
 *
 * What its process and its stores take is printed as the conversations grow. What it would be at 100,000 is drawn on from the last
 * half where there were fewer, and said to be so.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startService } from '../test/service/harness.ts'
import { deliver, startProvider } from './turn.ts'

/** `writing`: how many write at a time. */
const OPTIONS = { people: 20_000, writing: 32 }
export type ConversationOptions = typeof OPTIONS

/** @throws for an option that there is not */
export function conversationOptions(args: readonly string[]): ConversationOptions {
  const option = (name: keyof ConversationOptions) => ({ type: 'string' as const, default: String(OPTIONS[name]) })
  const { values } = parseArgs({ args: [...args], options: { people: option('people'), writing: option('writing') } })
  return { people: Number(values.people), writing: Number(values.writing) }
}

const TEXTS = ['Hello', 'This is Alex from the harbour', 'Thank you, that is all']
const ANSWER_MS = 30_000
const LINES = 20
const AIM = 100_000
/** After the last message, until what had been put off is done. */
const IDLE_MS = 15_000

export async function benchConversations({ people, writing }: ConversationOptions, print: (line: string) => void): Promise<void> {
  print(`${people} strangers with ${TEXTS.length} messages each, ${writing} of them writing at a time`)
  const provider = await startAnswers()
  const service = await startService({ env: { WHATSAPP_API_URL: provider.url, LOG_LEVEL: 'error' } })
  try {
    print(
      'people   messages/s   RSS MB   own MB   heap MB   buffers MB   CPU s   state MB   log MB   Postgres MB   ClickHouse MB',
    )
    const seen: { people: number; size: Size }[] = []
    const look = async (done: number, rate: string) => {
      const size = await sizeOf(service)
      seen.push({ people: done, size })
      print(`${pad(done, 6)}   ${pad(rate, 10)}   ${shown(size)}`)
    }
    await look(0, '–')
    let [next, done, unanswered] = [0, 0, 0]
    const person = async () => {
      while (next < people) {
        const from = String(66_000_000_000 + next++)
        for (const [n, text] of TEXTS.entries()) {
          const answered = provider.message(from)
          await deliver(`${service.url}/webhooks/whatsapp`, { from, id: `wamid.${from}.${n}`, text })
          if (!(await answered)) unanswered += 1
        }
        done += 1
      }
    }
    const all = Promise.all(Array.from({ length: writing }, person))
    for (let line = 1; line <= LINES; line++) {
      const before = { at: performance.now(), done }
      while (done < (people * line) / LINES) await Promise.race([all, sleep(50)])
      const seconds = (performance.now() - before.at) / 1000
      await look(done, (((done - before.done) * TEXTS.length) / seconds).toFixed(0))
    }
    await all
    await sleep(IDLE_MS)
    await look(done, 'idle')
    if (unanswered > 0) print(`${unanswered} messages were not answered within ${ANSWER_MS / 1000} s`)
    if (people < AIM) print(`drawn on from the last half to ${AIM} people: ${shown(drawnOn(seen))}`)
  } finally {
    await service.close()
    await provider.close()
  }
}

/** Bytes, and CPU in seconds. */
interface Size {
  readonly rss: number
  /** Without pages of files, which the system takes back when it needs them: those of the state stores above all. */
  readonly own: number
  readonly heap: number
  readonly buffers: number
  readonly cpu: number
  readonly state: number
  readonly log: number
  readonly postgres: number
  readonly clickhouse: number
}

async function sizeOf({ url, folder, pid }: { url: string; folder: string; pid: number }): Promise<Size> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const metric = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1])
  const data = join(folder, 'data')
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kept = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]) * 1024
  return {
    rss: kept('VmRSS'),
    own: kept('RssAnon'),
    heap: metric('nodejs_heap_size_used_bytes'),
    buffers: metric('nodejs_external_memory_bytes'),
    cpu: metric('process_cpu_seconds_total'),
    state: onDisk(join(data, 'state')),
    log: ['log.sqlite', 'log.sqlite-wal'].reduce((sum, name) => sum + onDisk(join(data, name)), 0),
    postgres: onDisk(join(data, 'postgres')),
    clickhouse: onDisk(join(data, 'clickhouse')),
  }
}

/** Bytes of a file, or of all in a folder; what goes away meanwhile counts for nothing. */
function onDisk(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined || !found.isDirectory()) return found === undefined ? 0 : found.blocks * 512
  try {
    return readdirSync(path).reduce((sum, name) => sum + onDisk(join(path, name)), 0)
  } catch {
    return 0
  }
}

function drawnOn(seen: readonly { people: number; size: Size }[]): Size {
  const last = seen.at(-2) as (typeof seen)[number]
  const half = seen.find(({ people }) => people >= last.people / 2) as (typeof seen)[number]
  const names = Object.keys(last.size) as (keyof Size)[]
  const at = (name: keyof Size) => {
    const slope = (last.size[name] - half.size[name]) / Math.max(1, last.people - half.people)
    return [name, last.size[name] + slope * (AIM - last.people)]
  }
  return Object.fromEntries(names.map(at)) as Size
}

function shown({ rss, own, heap, buffers, cpu, state, log, postgres, clickhouse }: Size): string {
  const mb = (bytes: number, width: number) => pad((bytes / 1e6).toFixed(0), width)
  const process = `${mb(rss, 6)}   ${mb(own, 6)}   ${mb(heap, 7)}   ${mb(buffers, 10)}   ${pad(cpu.toFixed(0), 5)}`
  return `${process}   ${mb(state, 8)}   ${mb(log, 6)}   ${mb(postgres, 11)}   ${mb(clickhouse, 13)}`
}

/** A provider, and whether a message to a user comes in time. */
async function startAnswers() {
  const waiting = new Map<string, () => void>()
  const provider = await startProvider(to => waiting.get(to)?.())
  const message = (to: string) =>
    new Promise<boolean>(resolve => {
      const timer = setTimeout(() => resolve(false), ANSWER_MS)
      waiting.set(to, () => {
        clearTimeout(timer)
        waiting.delete(to)
        resolve(true)
      })
    })
  return { ...provider, message }
}

const pad = (what: unknown, width: number) => String(what).padStart(width)
