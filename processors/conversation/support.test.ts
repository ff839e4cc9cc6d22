import { describe, expect, test } from 'vitest'
import { BAY, exact, intent, LAGOON, MORNING, type Meaning, no, SOMCHAI, Talk, wants, yes } from './testing/talk.ts'

const onFile = [SOMCHAI]
const MINUTE = 60_000
const lobby = { zone: 'z-lobby', name: 'Lobby', status: 'ONLINE', volume: 6 } as const
const hinted = (meaning: Meaning): Meaning => ({ onFile, ...meaning })

describe('controls', () => {
  test.each([
    ['volume_up', 'VOLUME_UP', {}],
    ['volume_down', 'VOLUME_DOWN', { value: 1 }],
    ['volume_set', 'VOLUME_SET', { value: 8 }],
    ['mute', 'MUTE', {}],
    ['unmute', 'UNMUTE', {}],
    ['play', 'PLAY', {}],
    ['pause', 'PAUSE', { durationMs: 20 * MINUTE }],
    ['skip', 'SKIP', {}],
  ])('%s goes to the venue as %s, and nothing is claimed before it answers', (kind, sent, slots) => {
    const talk = Talk.hinted()
    const message = talk.message('please')
    const reply = talk.send(message, hinted(wants(kind, { zone: 'z-lobby', ...slots })))
    expect(reply.asked).toMatchObject([
      { kind: sent, zones: ['z-lobby'], trust: 'HINTED', requestedAt: message.sentAt, ...slots },
    ])
    expect(reply.sent).toEqual([])
    expect(talk.state.requests).toMatchObject([{ outcome: 'pending', zoneName: 'Lobby' }])
  })

  test('several in one message are done in their order, at most three', () => {
    const talk = Talk.hinted()
    const intents = ['volume_down', 'what_playing', 'skip', 'pause'].map(kind => intent(kind, { zone: 'z-edge' }))
    expect(talk.say('all that', hinted({ intents })).asked.map(r => r.kind)).toEqual(['VOLUME_DOWN', 'WHAT_PLAYING', 'SKIP'])
  })

  test('a zone that is not named is asked for, and the request survives the question', () => {
    const talk = Talk.hinted()
    const asked = talk.say('volume up', hinted(wants('volume_up')))
    expect(asked.text).toMatch(/zone\?\n1\. Lobby\n2\. Edge\n3\. Pool/)
    expect(asked.sent[0]?.buttons.map(b => b.id)).toEqual(['zone:z-lobby', 'zone:z-edge', 'zone:z-pool', 'zone:all'])
    expect(asked.asked).toEqual([])
    const answered = talk.say('Edge', hinted({ intents: [intent('unknown', { confidence: 0 })] }))
    expect(answered.asked).toMatchObject([{ kind: 'VOLUME_UP', zones: ['z-edge'] }])
    expect(talk.state.question).toBeNull()
  })

  test.each<[string, Meaning, string[]]>([
    ['a button', { action: 'zone:z-pool' }, ['z-pool']],
    ['all zones', { action: 'zone:all' }, []],
    ['a number', { reply: 'NUMBER', number: 2 }, ['z-edge']],
    ['a zone understood', { intents: [intent('unknown', { confidence: 0, zone: 'z-pool' })] }, ['z-pool']],
  ])('the zone is taken from %s', (_, meaning, zones) => {
    const talk = Talk.hinted()
    talk.say('skip', hinted(wants('skip')))
    expect(talk.say('this', hinted(meaning)).asked).toMatchObject([{ kind: 'SKIP', zones }])
  })

  test('an unknown zone is named as such, and only fitting ones are offered', () => {
    const talk = Talk.hinted()
    expect(talk.say('skip at the rooftop', hinted(wants('skip', { zoneText: 'rooftop' }))).text).toContain('"rooftop"')
    const fitting = talk.say('pool skip', hinted(wants('skip', { zoneText: 'p', zoneChoices: ['z-edge', 'z-pool'] })))
    expect(fitting.text).toMatch(/1\. Edge\n2\. Pool$/)
  })

  test('a new request instead of the zone replaces the old one', () => {
    const talk = Talk.hinted()
    talk.say('volume up', hinted(wants('volume_up')))
    expect(talk.say('skip at edge', hinted(wants('skip', { zone: 'z-edge' }))).asked).toMatchObject([{ kind: 'SKIP' }])
    expect(talk.state.question).toBeNull()
  })

  test('the question for a zone is not put for ever', () => {
    const talk = Talk.hinted()
    talk.say('volume up', hinted(wants('volume_up')))
    expect(talk.say('blah', hinted({})).text).toContain('1. Lobby')
    talk.say('blah', hinted({}))
    expect(talk.state.question?.type).toBe('clarify')
    talk.say('blah', hinted({}))
    expect(talk.state.owner).toBe('WAITING')
  })

  test('below a confidence of 0.7 it is asked before it is done', () => {
    const talk = Talk.hinted()
    const asked = talk.say('lobby loud?', hinted(wants('volume_down', { zone: 'z-lobby', confidence: 0.6 })))
    expect(asked.text).toMatch(/turn down Lobby\? \(Yes\/No\)/)
    expect(asked.asked).toEqual([])
    expect(talk.say('yes', hinted(yes)).asked).toMatchObject([{ kind: 'VOLUME_DOWN', zones: ['z-lobby'] }])
  })

  test('a no to a guess changes nothing', () => {
    const talk = Talk.hinted()
    talk.say('lobby loud?', hinted(wants('volume_down', { zone: 'z-lobby', confidence: 0.6 })))
    const refused = talk.say('no', hinted(no))
    expect(refused.asked).toEqual([])
    expect(refused.text).toMatch(/leave it as it is|nothing is changed/)
  })

  test('one that is older than ten minutes is asked about, not done', () => {
    const talk = Talk.hinted()
    const old = talk.message('pause the pool', { sentAt: talk.kit.now - 25 * MINUTE })
    const asked = talk.send(old, hinted(wants('pause', { zone: 'z-pool' })))
    expect(asked.asked).toEqual([])
    expect(asked.text).toMatch(/25 minutes ago .*pause Pool/)
    const again = talk.message('yes')
    expect(talk.send(again, hinted(yes)).asked).toMatchObject([{ kind: 'PAUSE', zones: ['z-pool'], requestedAt: again.sentAt }])
  })

  test('an old question is answered, however old', () => {
    const talk = Talk.hinted()
    const old = talk.message('are we online?', { sentAt: talk.kit.now - 60 * MINUTE })
    expect(talk.send(old, hinted(wants('status_check'))).asked).toHaveLength(1)
  })

  test('a stranger is told how to get there, and it reaches a human once', () => {
    const talk = Talk.registered()
    const reply = talk.say('turn the lobby down', wants('volume_down', { zone: 'z-lobby' }))
    expect(reply.asked).toEqual([])
    expect(reply.text).toMatch(/phone number.*on file[\s\S]*within 4 hours/)
    expect(reply.alerts).toMatchObject([{ department: 'OPERATIONS', priority: 'NORMAL', kind: 'handover' }])
    expect(talk.state).toMatchObject({ owner: 'WAITING' })
    expect(talk.state.requests).toMatchObject([{ outcome: 'refused', reason: 'trust' }])
    expect(talk.say('turn it down!', wants('volume_down', { zone: 'z-lobby' })).sent).toEqual([])
  })

  test('trust is of the sender: another one in the same chat has none', () => {
    const talk = Talk.hinted()
    talk.sender = { id: '66899999999', phone: '66899999999', name: 'Guest' }
    expect(talk.say('mute the lobby', wants('mute', { zone: 'z-lobby' })).asked).toEqual([])
    talk.sender = { id: '66812345678', phone: '66812345678', name: 'Somchai' }
    expect(talk.say('mute the lobby', hinted(wants('mute', { zone: 'z-lobby' }))).asked).toMatchObject([{ trust: 'HINTED' }])
  })

  test('a question that the trusted sender raised is not answered by another one', () => {
    const talk = Talk.hinted()
    talk.say('lobby loud?', hinted(wants('volume_down', { zone: 'z-lobby', confidence: 0.6 })))
    talk.sender = { id: '66899999999', phone: '66899999999', name: 'Guest' }
    expect(talk.say('yes', yes).asked).toEqual([])
  })

  test('a message of another sender, waiting behind one of the contact on file, gets none of its trust', () => {
    const talk = new Talk()
    talk.waiting = true
    const [contact, guest] = [talk.message('hello'), talk.message('mute')]
    const stranger = { ...guest, sender: { id: '66899999999', phone: null, name: null } }
    for (const message of [contact, stranger]) talk.kit.handle('ChatMessage', message, { id: message.id })
    const language = 'en'
    const base = { language, reply: 'NONE', override: 'NONE', match: 'NONE', sentiment: 'NEUTRAL' } as const
    talk.kit.complete(talk.kit.started[0]?.attempt ?? '', { ...base, message: contact.id, ...hinted(wants('greeting')) })
    const trust = Object.fromEntries(talk.state.senders.map(s => [s.id, s.trust]))
    expect(trust).toEqual({ [contact.sender.id]: 'HINTED', '66899999999': 'CLAIMED' })
  })

  test('trust is of a venue: it is not carried over to another', () => {
    const talk = Talk.hinted()
    talk.say('no, it is Lotus Bay Pattaya', hinted({ ...exact(BAY), ...no }))
    talk.say('yes', hinted(yes))
    expect(talk.state).toMatchObject({ venue: BAY.venue, senders: [{ trust: 'CLAIMED' }] })
  })

  test('a phone taken off the sheet may control no more', () => {
    const talk = Talk.hinted()
    expect(talk.say('mute the lobby', wants('mute', { zone: 'z-lobby' })).asked).toEqual([])
  })

  test('the level of trust is a setting', () => {
    const talk = Talk.registered({ controlTrust: 'CLAIMED' })
    expect(talk.say('mute the lobby', wants('mute', { zone: 'z-lobby' })).asked).toMatchObject([{ trust: 'CLAIMED' }])
    const strict = Talk.hinted({ controlTrust: 'BOUND' })
    expect(strict.say('mute the lobby', hinted(wants('mute', { zone: 'z-lobby' }))).asked).toEqual([])
  })

  test('a venue without known zones is never controlled as a whole by mistake', () => {
    const talk = Talk.hinted()
    const reply = talk.say('volume up', hinted({ ...wants('volume_up'), zones: [] }))
    expect(reply.asked).toEqual([])
    expect(reply.alerts).toHaveLength(1)
  })
})

describe('questions and troubles', () => {
  test('what one look answers is one request', () => {
    const talk = Talk.hinted()
    const both = { intents: [intent('list_zones'), intent('status_check')] }
    expect(talk.say('what zones, all online?', hinted(both)).asked).toHaveLength(1)
    const trouble = { intents: [intent('status_check', { zone: 'z-edge' }), intent('no_sound', { zone: 'z-edge' })] }
    expect(talk.say('is edge on? no sound', hinted(trouble)).asked).toHaveLength(1)
    expect(talk.state.requests.at(-1)?.trouble).toBe('no_sound')
  })

  test('a stranger who has named the venue may ask for its state', () => {
    const talk = Talk.registered()
    expect(talk.say('all online?', wants('list_zones')).asked).toMatchObject([
      { kind: 'LIST_ZONES', zones: [], trust: 'CLAIMED' },
    ])
    const answer = talk.answer('CONFIRMED', { zones: [lobby, { zone: 'z-edge', name: 'Edge', status: 'OFFLINE' }] })
    expect(answer.text).toMatch(/2 zones.*1.*online[\s\S]*Lobby: online, volume 6[\s\S]*Edge: offline/)
    expect(talk.state.owner).toBe('BOT')
  })

  test('a trouble is looked at first; an offline zone goes to the technicians with a time', () => {
    const talk = Talk.hinted()
    talk.say('no music in the lobby', hinted(wants('no_sound', { zone: 'z-lobby' })))
    const answer = talk.answer('CONFIRMED', { zones: [{ ...lobby, status: 'OFFLINE' }] })
    expect(answer.text).toMatch(/Lobby: offline[\s\S]*technical team[\s\S]*within 1 hour/)
    expect(answer.alerts).toMatchObject([{ department: 'OPERATIONS', priority: 'HIGH' }])
  })

  test('all zones offline is critical', () => {
    const talk = Talk.hinted()
    talk.say('no music', hinted(wants('no_sound', { allZones: true })))
    const zones = [
      { ...lobby, status: 'OFFLINE' as const },
      { zone: 'z-edge', name: 'Edge', status: 'OFFLINE' as const },
    ]
    const answer = talk.answer('CONFIRMED', { zones })
    expect(answer.alerts).toMatchObject([{ priority: 'CRITICAL' }])
    expect(answer.text).toContain('within 15 minutes')
  })

  test('an unreadable zone is unknown, not offline', () => {
    const talk = Talk.hinted()
    talk.say('no music in the lobby', hinted(wants('no_sound', { zone: 'z-lobby' })))
    const asOf = MORNING - 30 * MINUTE
    const answer = talk.answer('UNVERIFIED', { reason: 'provider_down', zones: [{ ...lobby, status: 'UNKNOWN', asOf }] })
    expect(answer.text).toMatch(/Lobby: can't be read right now.*as of 09:30/)
    expect(answer.text).not.toContain('offline')
    expect(answer.alerts).toMatchObject([{ priority: 'HIGH' }])
  })

  test('where all looks well, the person is asked, and a no brings a human', () => {
    const talk = Talk.hinted()
    talk.say('no music in the lobby', hinted(wants('no_sound', { zone: 'z-lobby' })))
    const answer = talk.answer('CONFIRMED', { zones: [{ ...lobby, playback: 'playing' }] })
    expect(answer.text).toMatch(/\(Yes\/No\)$/)
    expect(answer.alerts).toEqual([])
    expect(talk.say('no', hinted(no)).alerts).toMatchObject([{ department: 'OPERATIONS', priority: 'HIGH' }])
  })

  test('a paused or silent zone explains itself', () => {
    const talk = Talk.hinted()
    talk.say('no music', hinted(wants('no_sound', { zone: 'z-lobby' })))
    expect(talk.answer('CONFIRMED', { zones: [{ ...lobby, playback: 'paused' }] }).text).toMatch(/quiet because it's paused/)
    talk.say('no music', hinted(wants('no_sound', { zone: 'z-lobby' })))
    expect(talk.answer('CONFIRMED', { zones: [{ ...lobby, volume: 0 }] }).text).toMatch(/volume is at 0/)
  })
})

describe('hand-over', () => {
  test.each([
    ['change_playlist', 'please play chillhop', 'DESIGN', 'NORMAL'],
    ['schedule_music', 'Christmas music next week', 'DESIGN', 'HIGH'],
    ['change_playlist', 'romantic music for the wedding tomorrow', 'DESIGN', 'HIGH'],
    ['contract_query', 'when does our contract expire?', 'SALES', 'HIGH'],
    ['pricing_query', 'how much do we pay?', 'SALES', 'NORMAL'],
    ['cancel_threat', 'third time, we cancel', 'SALES', 'CRITICAL'],
    ['complaint', 'this is bad', 'GENERAL', 'HIGH'],
    ['hardware', 'the tablet is broken', 'OPERATIONS', 'HIGH'],
    ['contact_query', 'I need a refund', 'FINANCE', 'HIGH'],
    ['complaint', 'our lawyer will call you', 'GENERAL', 'CRITICAL'],
  ])('%s ("%s") goes to %s as %s, with one acknowledgement', (kind, text, department, priority) => {
    const talk = Talk.hinted()
    const reply = talk.say(text, hinted(wants(kind)))
    expect(reply.alerts).toMatchObject([{ department, priority }])
    expect(reply.sent).toHaveLength(1)
    expect(talk.state).toMatchObject({ owner: 'WAITING', handover: { department, priority } })
    expect(talk.say('hello? anyone?', hinted({})).sent).toEqual([])
    expect(talk.say(text, hinted(wants(kind))).sent).toEqual([])
  })

  test('facts of the contract are never said', () => {
    const reply = Talk.hinted().say(
      'when does our contract end, what do we pay?',
      hinted({ intents: [intent('contract_query'), intent('pricing_query')] }),
    )
    expect(reply.text).not.toMatch(/\d{4}|THB|baht/i)
    expect(reply.text).toMatch(/sales team/)
  })

  test('a complaint beside a control is its reason', () => {
    const reply = Talk.hinted().say(
      'skip, a guest complains',
      hinted({ intents: [intent('skip', { zone: 'z-lobby' }), intent('complaint')] }),
    )
    expect(reply.asked).toHaveLength(1)
    expect(reply.alerts).toEqual([])
  })

  test('while a human is awaited, questions and permitted controls are still served', () => {
    const talk = Talk.hinted()
    talk.say('christmas music please', hinted(wants('schedule_music')))
    expect(talk.say('all online?', hinted(wants('list_zones'))).asked).toHaveLength(1)
    expect(talk.answer('CONFIRMED', { zones: [lobby] }).text).toContain('Lobby: online')
    expect(talk.say('lobby down', hinted(wants('volume_down', { zone: 'z-lobby' }))).asked).toHaveLength(1)
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).text).toMatch(/6/)
    expect(talk.say('thanks', hinted(wants('thanks'))).sent).toEqual([])
  })

  test('what gets urgent while a human is awaited is said once more', () => {
    const talk = Talk.hinted()
    const first = talk.say('christmas music please', hinted(wants('schedule_music')))
    const urgent = hinted({ sentiment: 'URGENT', ...wants('no_sound', { allZones: true }) })
    const second = talk.say('EVERYTHING IS SILENT!!', urgent)
    expect(first.alerts).toMatchObject([{ priority: 'HIGH', department: 'DESIGN' }])
    expect(second.alerts).toMatchObject([{ priority: 'CRITICAL', department: 'OPERATIONS' }])
    expect(second.alerts[0]?.id).not.toBe(first.alerts[0]?.id)
    expect(second.text).toContain('within 15 minutes')
    expect(talk.say('HELLO??', hinted({ sentiment: 'URGENT' })).sent).toEqual([])
  })

  test('what goes to the same department is the same alert, and never less urgent', () => {
    const talk = Talk.hinted()
    const first = talk.say('christmas music please', hinted(wants('schedule_music')))
    const second = talk.say('and chillhop', hinted(wants('change_playlist')))
    expect(second.alerts).toMatchObject([
      { id: first.alerts[0]?.id, priority: 'HIGH', text: 'Blue Lagoon Pattaya: change playlist (whatsapp)' },
    ])
    expect(second.sent).toEqual([])
  })

  test('an urgent trouble has its line at once, before its state is known', () => {
    const reply = Talk.hinted().say(
      'all silent, ด่วน!!',
      hinted({ sentiment: 'URGENT', ...wants('no_sound', { allZones: true }) }),
    )
    expect(reply.text).toMatch(/alerted our team[\s\S]*checking your venue/)
    expect(reply.asked).toMatchObject([{ kind: 'STATUS', zones: [] }])
  })

  test('what is not understood is asked about once, and then handed over', () => {
    const talk = Talk.hinted()
    expect(talk.say('flumox', hinted({})).alerts).toEqual([])
    expect(talk.say('flumox', hinted({})).alerts).toMatchObject([{ department: 'GENERAL', priority: 'NORMAL' }])
  })
})

describe('small talk', () => {
  test('thanks are answered once, and then nothing', () => {
    const talk = Talk.hinted()
    expect(talk.say('thank you!', hinted(wants('thanks'))).sent).toHaveLength(1)
    expect(talk.say('thanks', hinted(wants('thanks'))).sent).toEqual([])
    expect(talk.say('ok', hinted(yes)).sent).toEqual([])
  })

  test.each([
    ['ok', yes, /All right|Great/],
    ['no', no, /leave|nothing/],
  ] as const)('a loose "%s" gets a short word, and then none', (text, meaning, words) => {
    const talk = Talk.hinted()
    expect(talk.say(text, hinted(meaning)).text).toMatch(words)
    expect(talk.say(text, hinted(meaning)).sent).toEqual([])
  })

  test('a greeting is answered shortly, by name', () => {
    expect(Talk.registered().say('hi', wants('greeting')).text).toMatch(/^(Hi|Hello) John! /)
  })

  test('help says what can be asked', () => {
    expect(Talk.registered().say('help', wants('help')).text).toMatch(/volume/)
  })

  test('stop is respected', () => {
    const talk = Talk.hinted()
    talk.say('volume up', hinted(wants('volume_up')))
    talk.say('stop', hinted({ override: 'STOP' }))
    expect(talk.state.question).toBeNull()
  })
})

test('a newcomer’s venue, once confirmed, has no trust by its name alone', () => {
  const talk = new Talk()
  talk.say('I am from Blue Lagoon Pattaya', exact(LAGOON))
  expect(talk.state.senders).toMatchObject([{ trust: 'CLAIMED' }])
})
