/**
 * Power cuts under a stream of messages. The provider redelivers a webhook until it is answered 200, as the real one does; so
 * nothing may be lost, and nothing answered twice but where the conversation shows that a send is unknown.
 * `KILLS=50 npx vitest run test/service/kill.test.ts` is the long form.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Service, sheetOf, startService, until } from './harness.ts'

const KILLS = Number(process.env.KILLS ?? 8)
const PEOPLE = 20
const people = Array.from({ length: PEOPLE }, (_, n) => ({ from: String(66_840_000_000 + n), name: `Guest ${n}` }))

let service: Service
beforeAll(async () => {
  service = await startService({ statuses: ['sent'] })
  // Everyone on file, so that each message has one answer: what is playing.
  const account = service.world.accounts[0]?.id
  const rows = people.map(
    ({ from }, n) => `Test House ${String.fromCharCode(65 + n)}${n},${100 + n},Road ${n},Guest ${n},Owner,+${from},,0,,`,
  )
  const { writeFileSync } = await import('node:fs')
  writeFileSync(service.sheet, `${sheetOf(service.world)}${rows.join('\n')}\n`)
  await until(async () => (await service.get('/api/v1/venues?limit=200')).body.items.length === 3 + PEOPLE, 20_000)
  expect(account).toBeDefined()
})
afterAll(() => service.close())

it(`${KILLS} kills at random moments lose nothing and answer nothing twice`, { timeout: 60_000 + KILLS * 15_000 }, async () => {
  let over = false
  const sent = new Map<string, string[]>(people.map(p => [p.from, []]))
  const replies = (from: string) => service.whatsapp.sent.filter(m => m.to === from)
  const unknownOf = async (from: string) => {
    const view = await service.conversation({ from }).catch(() => null) // killed just now
    return (view?.messages ?? []).filter(
      (m: { direction: string; status: string }) => m.direction === 'out' && m.status === 'unknown',
    ).length
  }
  /** One person: writes, and writes on once there is an answer. */
  const write = async ({ from, name }: { from: string; name: string }) => {
    for (let n = 0; !over; n++) {
      const id = `wamid.${from}.${n}`
      sent.get(from)?.push(id)
      for (;;) {
        const { answers } = await service.whatsapp
          .deliver({ from, name, id, text: `Which zones do we have? (${n})` })
          .catch(() => ({ answers: [0] }))
        if (answers.includes(200)) break
        await sleep(100)
      }
      // An answer, or the conversation says that nobody knows whether it went out.
      const asked = Date.now()
      await until(
        async () =>
          replies(from).length > n || (Date.now() - asked > 3_000 && replies(from).length + (await unknownOf(from)) > n),
        60_000,
        () => `an answer to message ${n} of ${from}\n${service.output}`,
      )
      await sleep(Math.random() * 200)
    }
  }
  const writing = people.map(write)
  for (let kill = 0; kill < KILLS; kill++) {
    await sleep(200 + Math.random() * 1_500)
    await service.kill()
    await service.start()
  }
  over = true
  await Promise.all(writing)

  const all = [...sent.values()].flat()
  let doubled = 0
  let unknown = 0
  for (const { from } of people) {
    const view = await until(async () => {
      const seen = await service.conversation({ from })
      const outs = seen.messages.filter((m: { direction: string }) => m.direction === 'out')
      return outs.every((m: { status: string }) => m.status !== 'queued') ? seen : null
    }, 20_000)
    const rows = view.messages.filter((m: { direction: string }) => m.direction === 'in').map((m: { id: string }) => m.id)
    const wrote = (sent.get(from) as string[]).slice(-200)
    expect(new Set(rows).size).toBe(rows.length)
    // The newest of the conversation, each once, with nothing missing between them.
    expect(rows.length).toBeGreaterThanOrEqual(Math.min(wrote.length, 90))
    expect(new Set(rows)).toEqual(new Set(wrote.slice(-rows.length)))
    const outs = view.messages.filter((m: { direction: string }) => m.direction === 'out')
    const lost = outs.filter((m: { status: string }) => m.status === 'unknown' || m.status === 'failed').length
    const extra = replies(from).length - (sent.get(from) as string[]).length
    unknown += lost
    if (extra > lost) doubled += extra - lost
  }
  console.log(
    `${KILLS} kills, ${all.length} messages from ${PEOPLE} people, ${service.whatsapp.sent.length} replies, ${unknown} sends unknown, ${doubled} answered twice`,
  )
  expect(doubled).toBe(0)
})
