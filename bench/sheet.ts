/** A sheet of 10,000 rows with every kind of bad cell, from the file to what is passed on, beside csv-parse alone on the same text. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { sheetFilePort } from '../connectors/sheets/file.ts'
import { oddSheet } from '../connectors/sheets/testing/fixture.ts'
import type { Run } from '../engine/actor.ts'
import type { SheetPartInput } from '../schemas/types.ts'

export interface SheetRead {
  readonly rows: number
  readonly taken: number
  readonly refused: number
  readonly cells: number
  /** Of what could not be read, what is told one by one. */
  readonly told: number
  readonly ms: number
  /** csv-parse alone, ms. */
  readonly parsedMs: number
}

export async function benchSheet(rows = 10_000): Promise<SheetRead> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-sheet-'))
  try {
    const file = join(folder, 'venues.csv')
    const { text } = oddSheet(rows)
    writeFileSync(file, text)
    const run: Run = { attempt: 'a', key: 'venues', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }
    const read = sheetFilePort({ file })
    const [ms, parts] = await timed(() => read({ sheet: 'venues', buckets: 64, fingerprint: null, sample: [] }, run))
    const [parsedMs] = await timed(async () => parse(text, { relax_quotes: true, relax_column_count: true }))
    const [{ summary } = {}, ...rest] = parts as readonly SheetPartInput[]
    const told = rest.filter(part => part.bucket === undefined).reduce((sum, part) => sum + (part.refusals?.length ?? 0), 0)
    return { rows, taken: summary?.rows ?? 0, refused: summary?.refused ?? 0, cells: summary?.cells ?? 0, told, ms, parsedMs }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function timed<T>(work: () => T | Promise<T>): Promise<[ms: number, result: T]> {
  const began = performance.now()
  const result = await work()
  return [performance.now() - began, result]
}
