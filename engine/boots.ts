/**
 * Which boot of the machine wrote the state stores, and how far each task had come. The stores are not synced as they are written: they
 * survive the process, but a crash of the machine may leave anything of them. So they are trusted only in the boot that wrote them, or
 * once they were closed in order. How far a task had come survives the crash here: its state can be restored from its changelog only if
 * that still has all of it.
 *
 *   stores.json   {boot, tasks: {"<actor>/<partition>": checkpoint}}      boot is null once they were closed in order
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { open, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf } from './errors.ts'
import type { Checkpoint } from './store.ts'

const FILE = 'stores.json'
/** How long what is known of a task may remain unsynced. */
const KEEP_MS = 2_000

interface Content {
  readonly boot: string | null
  readonly tasks: Readonly<Record<string, Checkpoint>>
}

export class Boots {
  readonly #path: string
  readonly #boot: string
  readonly #found: string | null
  /** Stores of an earlier version, which synced its writes: LMDB itself finds what of them is intact. */
  readonly synced: boolean
  /** Whether the stores hold what was written. */
  readonly trusted: boolean
  readonly #tasks: Map<string, Checkpoint>
  #timer: NodeJS.Timeout | null = null
  #keeping: Promise<void> = Promise.resolve()

  /** @throws if the file cannot be read */
  constructor(folder: string, boot: string) {
    this.#path = join(folder, FILE)
    this.#boot = boot
    const found = read(this.#path)
    this.#found = found?.boot ?? null
    this.synced = found === null && existsSync(join(folder, 'lmdb'))
    this.trusted = found === null || found.boot === null || found.boot === boot
    const lost = this.trusted ? {} : { lost: true }
    this.#tasks = new Map(Object.entries(found?.tasks ?? {}).map(([task, checkpoint]) => [task, { ...checkpoint, ...lost }]))
  }

  /** Nothing may be written to the stores before. @throws when it cannot be written */
  begin(): void {
    if (this.#found !== this.#boot) this.#write(this.#boot)
  }

  /** How far a task was whose state was lost with the machine, until it has one again. */
  lost(task: string): Checkpoint | null {
    const checkpoint = this.#tasks.get(task)
    return checkpoint?.lost === true ? checkpoint : null
  }

  reached(task: string, checkpoint: Checkpoint): void {
    this.#tasks.set(task, checkpoint)
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      // Where it cannot be written, what is there is older, which is safe; it is tried again with the next.
      this.#keeping = this.#keeping.then(() => this.#keep()).catch(() => {})
    }, KEEP_MS).unref()
  }

  forget(task: string): void {
    this.#tasks.delete(task)
  }

  /** @param whole the stores are synced and closed. Where that cannot be written, they are trusted in this boot only. */
  async end(whole: boolean): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#keeping
    try {
      this.#write(whole ? null : this.#boot)
    } catch {}
  }

  #text(boot: string | null): string {
    const content: Content = { boot, tasks: Object.fromEntries(this.#tasks) }
    return JSON.stringify(content)
  }

  /** As `#write`, while other work goes on. */
  async #keep(): Promise<void> {
    const made = `${this.#path}.new`
    await writeFile(made, this.#text(this.#boot), { mode: 0o600, flush: true })
    await rename(made, this.#path)
    const folder = await open(dirname(this.#path), 'r')
    await folder.sync().finally(() => folder.close())
  }

  /** The old file stays until the new one is on the disk. */
  #write(boot: string | null): void {
    const made = `${this.#path}.new`
    writeFileSync(made, this.#text(boot), { mode: 0o600, flush: true })
    renameSync(made, this.#path)
    const folder = openSync(dirname(this.#path), 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  }
}

function read(path: string): Content | null {
  if (!existsSync(path)) return null
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Content
  } catch (error) {
    throw new Error(`${path} cannot be read: ${messageOf(error)}; move the folder away`, { cause: error })
  }
}
