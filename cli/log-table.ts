/** What `npm run log` prints: first what does not run, and why; then what to do; what runs is told in a line. */

/** A task as the API shows it. */
export interface Shown {
  readonly inbox: string
  readonly partition: number
  readonly state: string
  readonly worker: string | null
  readonly position: number | null
  readonly first: number
  readonly end: number
  readonly stopped: { readonly cause: string; readonly at: string | null } | null
  readonly waits: string | null
  readonly decision: {
    readonly action: string
    readonly offset: number | null
    readonly by: string
    readonly reason: string
    readonly at: string
  } | null
}

type Dependencies = Readonly<Record<string, { status: string; detail: string }>>

/** Whether the service is ready, and what is not well. */
export function readinessOf(url: string, ready: boolean, dependencies: Dependencies): string {
  const unwell = Object.entries(dependencies).filter(([, { status }]) => status !== 'up')
  const width = Math.max(0, ...unwell.map(([name]) => name.length))
  const lines = unwell.map(([name, { status, detail }]) => `  ${name.padEnd(width)}  ${status.padEnd(8)}  ${detail}`)
  return [`the service at ${url} is ${ready ? 'ready' : 'NOT READY'}`, ...lines].join('\n')
}

export function tableOf(tasks: readonly Shown[]): string {
  const [running, others] = [tasks.filter(runs), tasks.filter(t => !runs(t))]
  const stopped = others.filter(t => t.stopped !== null)
  const elsewhere = others.filter(t => t.state === 'UNKNOWN')
  const rows = others.map(task => [
    nameOf(task),
    task.state === 'UNKNOWN' ? 'elsewhere' : task.state,
    task.position === null ? '?' : String(task.position),
    String(task.end),
    task.position === null ? '?' : String(Math.max(0, task.end - task.position)),
  ])
  const lines = aligned([['TASK', 'STATE', 'NEXT', 'END', 'BEHIND'], ...rows])
  const table = others.flatMap((task, at) => [lines[at + 1] as string, ...whyOf(task).map(line => `    ${line}`)])
  return [
    ...(others.length === 0 ? [] : ['', lines[0] as string, ...table]),
    '',
    running.length === 0 ? 'no task runs here' : `${running.length} of ${tasks.length} tasks run: ${placesOf(running)}`,
    ...(elsewhere.length === 0
      ? []
      : ['elsewhere: of another process, and the log tells of no stop; that process says in its /readyz whether they run']),
    ...(stopped.length === 0 ? [] : ['', ...waysOut(stopped[0] as Shown)]),
  ].join('\n')
}

function runs({ state, stopped, waits }: Shown): boolean {
  return state === 'RUNNING' && stopped === null && waits === null
}

function nameOf({ inbox, partition }: Shown): string {
  return `${inbox}/${partition}`
}

function whyOf({ stopped, waits, decision, first, position }: Shown): string[] {
  const lines: string[] = []
  if (stopped !== null) lines.push(`stopped${stopped.at === null ? '' : ` ${stopped.at}`}: ${stopped.cause}`)
  if (waits !== null) lines.push(`waits, and is tried again by itself: ${waits}`)
  if (position !== null && position < first) lines.push(`the inbox begins at ${first}`)
  if (decision !== null) {
    const { action, offset, by, reason, at } = decision
    const what = offset === null ? action : `${action} from ${offset}`
    lines.push(`decided ${at} by ${by}: ${what}${reason === '' ? '' : ` (${reason})`}`)
  }
  return lines
}

/** What to type, with the first of them as the example. */
function waysOut(task: Shown): string[] {
  const { position, first, end } = task
  const name = nameOf(task)
  const next = Math.min(Math.max((position ?? first - 1) + 1, first), end)
  const command = (words: string, what: string) =>
    `  npm run log -- ${words.padEnd(`rebuild ${name} --from ${next}`.length)}  ${what}`
  return [
    'a halted task continues once a person has decided; the cause above says what must be mended first:',
    command(`resume ${name}`, 'it is mended: continue where it was halted'),
    command(`accept ${name} --from ${next}`, `continue there: what lies before ${next} and was not handled is given up`),
    command(`rebuild ${name}`, 'give up the local store: the state is what the changelog says'),
  ]
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number)))
      .join('  ')
      .trimEnd(),
  )
}

/** "venue.inbox 0-2,5": runs of partitions. */
function placesOf(tasks: readonly Shown[]): string {
  return [...Map.groupBy(tasks, task => task.inbox)]
    .map(([inbox, of]) => `${inbox} ${rangesOf(of.map(t => t.partition).sort((a, b) => a - b))}`)
    .join('; ')
}

function rangesOf(numbers: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const n of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === n - 1) last[1] = n
    else ranges.push([n, n])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}
