import { expect, test } from 'vitest'
import { type CommandLine, execute, Wrong } from './command.ts'

const OPTIONS = {
  topic: { type: 'string', value: '<name>', doc: 'topic to read' },
  rate: { type: 'string', default: '10', doc: 'records a second' },
  quiet: { type: 'boolean', doc: 'says nothing' },
} as const

async function call(args: string[], more: Partial<CommandLine<typeof OPTIONS>> = {}) {
  const [out, err, ran]: [string[], string[], unknown[]] = [[], [], []]
  const run = (values: object) => {
    ran.push({ ...values })
    return 0
  }
  const command = { name: 'npm run read --', summary: 'Reads a topic.', options: OPTIONS, run, ...more }
  const code = await execute(command, args, { out: line => out.push(line), err: line => err.push(line) })
  return { code, out: out.join('\n'), err: err.join('\n'), ran }
}

test('runs with what it is given, and what it is not given by default', async () => {
  expect(await call(['--topic', 'issues', '--quiet'])).toMatchObject({
    code: 0,
    ran: [{ topic: 'issues', rate: '10', quiet: true }],
  })
  expect((await call([], { run: () => 1 })).code).toBe(1)
})

test('--help says what there is, and runs nothing', async () => {
  const { code, out, ran } = await call(['--help', '--topic', 'x'])
  expect(code).toBe(0)
  expect(ran).toEqual([])
  for (const line of ['npm run read --', 'Reads a topic.', '--topic <name>', 'records a second (10)', '--check'])
    expect(out).toContain(line)
})

test('--check looks at what is given, and runs nothing', async () => {
  const check = ({ topic }: { topic: string | undefined }) => {
    if (topic === undefined) throw new Wrong('no topic is named')
  }
  expect(await call(['--check', '--topic', 'x'], { check })).toMatchObject({ code: 0, ran: [] })
  expect(await call(['--check'], { check })).toMatchObject({
    code: 2,
    err: expect.stringContaining('no topic is named'),
    ran: [],
  })
  expect(await call([], { check })).toMatchObject({ code: 2, ran: [] })
})

test.each([
  [['--topci', 'x'], 'npm run read -- has no option --topci; did you mean --topic?'],
  [['--colour'], 'npm run read -- has no option --colour'],
  [['-t'], 'npm run read -- has no option -t'],
  [['--topic'], '--topic needs a value: topic to read'],
  [['--quiet=yes'], '--quiet takes no value'],
  [['issues'], 'npm run read -- does not know what "issues" means'],
])('%o is refused in words', async (args, words) => {
  expect(await call(args)).toMatchObject({ code: 2, err: `${words}\nFor help: npm run read -- --help`, ran: [] })
})

test('words are taken where a command has some; what it does not expect is thrown', async () => {
  expect((await call(['issues'], { words: '<topic>' })).code).toBe(0)
  const broken = () => {
    throw new TypeError('broken')
  }
  await expect(call([], { run: broken })).rejects.toThrow(TypeError)
})
