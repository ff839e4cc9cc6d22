/**
 * What every channel must do, whatever its provider: each runs these tests with its own delivery, port and a provider that the
 * test controls.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { conversationActor } from '../../../processors/conversation/actor.ts'
import { defaultConversationSettings } from '../../../processors/conversation/settings.ts'
import type { Run } from '../../../engine/actor.ts'
import { carry, type Kit, type KitStep, testkit } from '../../../engine/testing/testkit.ts'
import type {
  ChatMessageInput,
  DeliveryStatusInput,
  SendMessageInput,
  SendResultInput,
  UnderstoodInput,
} from '../../../schemas/types.ts'
import { changelog } from '../../../topics/catalog.ts'
import { DELIVERY_DEFAULTS, type DeliveryChannel, deliveryActor, type DeliveryPorts, WINDOW_CLOSED } from '../delivery.ts'

/** A provider under control of the test. */
export interface TestProvider {
  readonly ports: DeliveryPorts
  /** Texts of the messages that it has accepted, oldest first, with the titles of choices that the person sees. */
  accepted(): readonly { readonly to: string; readonly text: string; readonly choices: readonly string[] }[]
  /** Refuses the next message, as a provider does that will never take it. */
  refuseNext(): void
  close(): Promise<void>
}

export interface ConformanceOptions {
  readonly delivery: DeliveryChannel
  readonly open: () => Promise<TestProvider>
  /** An id of a person, as the channel's `chat`. */
  readonly person: string
}

const KEY = 'main:conversation'
const NOW = 1_750_000_000_000

export function channelConformance({ delivery, open, person }: ConformanceOptions): void {
  const { channel } = delivery
  const { limits, freeTextWindowMs } = channel

  describe(`channel ${channel.name}`, () => {
    let provider: TestProvider
    let kit: Kit<'DeliveryState'>
    beforeEach(async () => {
      await carry([channel.inbox])
      provider = await open()
      kit = testkit(deliveryActor(delivery), { key: KEY, now: NOW })
    })
    afterEach(() => provider.close())

    const order = (id: string, more: Partial<SendMessageInput> = {}): SendMessageInput => ({
      id,
      conversation: KEY,
      channel: channel.name,
      account: '1',
      to: person,
      text: 'Which zone?',
      lastInboundAt: kit.now,
      createdAt: kit.now,
      ...more,
    })
    /** Sends what has been ordered, through the channel's port. */
    const deliver = async (): Promise<{ steps: KitStep[]; results: SendResultInput[] }> => {
      const steps: KitStep[] = []
      const results: SendResultInput[] = []
      for (let [run] = kit.started; run !== undefined; [run] = kit.started) {
        const result = (await provider.ports.send(run.input, running(run.attempt))) as SendResultInput
        results.push(result)
        steps.push(kit.complete(run.attempt, result))
      }
      return { steps, results }
    }
    const outcomes = (steps: readonly KitStep[]) =>
      steps.flatMap(s => s.emits.filter(e => e.type === 'SendOutcome').map(e => e.record.status))
    const alerts = (steps: readonly KitStep[]) => steps.flatMap(s => s.emits.filter(e => e.type === 'Alert').map(e => e.record))

    it('has a name of its own: its inbox, its actor and its changelog begin with it', () => {
      expect(channel.inbox.name).toBe(`${channel.name}.inbox`)
      const { name, inbox } = deliveryActor(delivery)
      expect([name, changelog(name, inbox).name]).toEqual([channel.name, `${channel.name}.changelog`])
      expect(limits.textWithChoicesChars).toBeLessThanOrEqual(limits.textChars)
    })

    it('sends a message once, and knows it by the provider’s id', async () => {
      kit.handle('SendMessage', order('m1'))
      const { results } = await deliver()
      expect(results).toMatchObject([{ id: 'm1', accepted: true }])
      expect(kit.handle('SendMessage', order('m1')).effects).toEqual([])
      expect(provider.accepted()).toMatchObject([{ to: person, text: 'Which zone?', choices: [] }])
      expect(kit.state?.sends).toMatchObject([{ id: 'm1', status: 'SENT', providerId: results[0]?.providerId ?? null }])
    })

    it('shows every choice: as a button, in a list or in the text', async () => {
      for (const [count, of] of [2, 8, 15].entries()) {
        const titles = Array.from({ length: of }, (_, n) => `Zone ${count}${String.fromCharCode(65 + n)}`)
        kit.handle('SendMessage', order(`m${count}`, { buttons: titles.map(title => ({ id: `zone:${title}`, title })) }))
        await deliver()
        const seen = provider.accepted().flatMap(({ text, choices }) => [text, ...choices])
        for (const title of titles) expect(seen.join(' ')).toContain(title)
      }
    })

    it('sends a long text whole, in order, within its limits', async () => {
      const words = Array.from({ length: limits.textChars / 2 }, (_, n) => `w${n}`)
      kit.handle('SendMessage', order('m1', { text: words.join(' ') }))
      await deliver()
      const texts = provider.accepted().map(m => m.text)
      expect(texts.length).toBeGreaterThan(1)
      for (const text of texts) expect(text.length).toBeLessThanOrEqual(limits.textChars)
      expect(texts.join(' ').split(/\s+/)).toEqual(words)
    })

    it('gives a message in parts one id and one status: the worst of theirs', async () => {
      const text = Array.from({ length: limits.textChars / 2 }, (_, n) => `w${n}`).join(' ')
      kit.handle('SendMessage', order('m1', { text }))
      const { results } = await deliver()
      expect(results.map(({ id, more }) => [id, more])).toEqual(results.map((_, n) => ['m1', n < results.length - 1]))
      expect(kit.state?.sends).toMatchObject([{ id: 'm1', status: 'SENT' }])
      if (channel.receipts === 'none' || channel.receipts === 'sent') return
      const steps = results.map(({ providerId }) =>
        kit.handle('DeliveryStatus', { providerId: providerId as string, status: 'DELIVERED', at: NOW }),
      )
      expect(steps.map(step => outcomes([step]))).toEqual(results.map((_, n) => (n === results.length - 1 ? ['DELIVERED'] : [])))
    })

    it('sends no further part once one is refused: then the whole message has failed', async () => {
      provider.refuseNext()
      kit.handle('SendMessage', order('m1', { text: 'word '.repeat(limits.textChars) }))
      const { steps, results } = await deliver()
      expect([results.length, outcomes(steps), provider.accepted()]).toEqual([1, ['FAILED'], []])
      expect(kit.state?.sends).toMatchObject([{ id: 'm1', status: 'FAILED' }])
    })

    it('does not send past its window for free text, and tells the conversation and a human', async () => {
      const old = kit.handle('SendMessage', order('m1', { lastInboundAt: kit.now - 40 * 24 * 3600_000 }))
      if (freeTextWindowMs === null) {
        expect(old.effects).toHaveLength(1)
        return
      }
      expect(old.effects).toEqual([])
      expect(old.emits.find(e => e.type === 'SendOutcome')?.record).toMatchObject({ status: 'FAILED', reason: WINDOW_CLOSED })
      expect(alerts([old])).toMatchObject([{ kind: 'send_failed', resolved: false }])
    })

    it('a refusal is told, in words that hold no personal data, and is not tried again', async () => {
      provider.refuseNext()
      kit.handle('SendMessage', order('m1', { text: 'for Somchai' }))
      const { steps } = await deliver()
      expect(outcomes(steps)).toEqual(['FAILED'])
      expect(alerts(steps)).toMatchObject([{ kind: 'send_failed', text: expect.stringContaining(channel.label) }])
      expect(alerts(steps)[0].text).not.toMatch(new RegExp(`Somchai|${person}`))
      expect(provider.accepted()).toEqual([])
    })

    it('takes reports in any order, and tells each status once', async () => {
      if (channel.receipts === 'none') return
      kit.handle('SendMessage', order('m1'))
      const { results } = await deliver()
      const providerId = results[0]?.providerId
      expect(providerId).toBeTruthy()
      const report = (status: DeliveryStatusInput['status']) =>
        kit.handle('DeliveryStatus', { providerId: providerId as string, status, at: NOW })
      const last = { sent: 'SENT', delivered: 'DELIVERED', read: 'READ' } as const
      const highest = last[channel.receipts]
      const steps = [report(highest), report('SENT'), report(highest)]
      expect(outcomes(steps)).toEqual(highest === 'SENT' ? [] : [highest])
    })

    it('an attempt that may have left is not repeated: a human hears of it if nothing is reported', () => {
      kit.handle('SendMessage', order('m1'))
      const ended = kit.end(kit.started[0]?.attempt ?? '', 'UNKNOWN', 'lost')
      expect([outcomes([ended]), ended.effects]).toEqual([['UNKNOWN'], []])
      expect(alerts([kit.fire('unknown:m1')])).toMatchObject([{ kind: 'send_failed' }])
      expect(DELIVERY_DEFAULTS.reconcileMs).toBeGreaterThan(0)
    })

    it('forgets a person who is erased, and what comes back later', async () => {
      kit.handle('SendMessage', order('m1'))
      kit.handle('ErasePerson', { id: 'e1', channel: channel.name, at: kit.now })
      const { steps } = await deliver()
      expect([kit.state, steps.flatMap(s => s.emits)]).toEqual([null, []])
    })

    it('brings a person an answer: from a message to the reply at the provider', async () => {
      const understand = () => GREETING
      const conversation = testkit(conversationActor({ ...defaultConversationSettings, channels: [channel] }), {
        key: KEY,
        now: NOW,
        lookups: { understand: understand as never },
      })
      const { emits } = conversation.handle('ChatMessage', hello(), { id: 'in-1' })
      const replies = emits.filter(e => e.topic === channel.inbox.name)
      expect(replies.map(e => [e.key, e.type])).toEqual([[KEY, 'SendMessage']])
      kit.handle('SendMessage', replies[0]?.record)
      await deliver()
      const said = provider.accepted()
      expect(said.map(m => m.to)).toEqual(said.map(() => person))
      expect(said.map(m => m.text).join(' ')).toMatch(/the name of your venue\?/)
    })

    const hello = (): ChatMessageInput => ({
      id: 'in-1',
      channel: channel.name,
      account: '1',
      chat: person,
      sender: { id: person },
      kind: 'TEXT',
      text: 'hello',
      sentAt: NOW,
      receivedAt: NOW,
    })
  })
}

const GREETING: UnderstoodInput = {
  message: 'in-1',
  language: 'en',
  reply: 'NONE',
  override: 'NONE',
  match: 'NONE',
  sentiment: 'NEUTRAL',
  intents: [{ kind: 'greeting', confidence: 0.9 }],
}

function running(attempt: string): Run {
  return { attempt, key: KEY, notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }
}
