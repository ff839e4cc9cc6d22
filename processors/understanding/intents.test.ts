import { describe, expect, test } from 'vitest'
import { MIN_CONFIDENCE, intentsIn } from './intents.ts'
import { normalise } from './normalize.ts'

const read = (text: string) => intentsIn(normalise(text))
const acted = (text: string) =>
  read(text)
    .filter(({ confidence }) => confidence >= MIN_CONFIDENCE)
    .map(({ kind }) => kind)

describe('single wishes', () => {
  test.each([
    ['it is too loud', 'volume_down'],
    ['ดังเกินไป', 'volume_down'],
    ['can you turn it down?', 'volume_down'],
    ['ช่วยลดเสียงได้ไหมคะ', 'volume_down'],
    ["guests can't hear it", 'volume_up'],
    ['เบาไปค่ะ', 'volume_up'],
    ['louder please', 'volume_up'],
    ['turn it up to 10', 'volume_set'],
    ['set the volume at 50%', 'volume_set'],
    ['ปรับเสียงเป็น 8', 'volume_set'],
    ['mute', 'mute'],
    ['ปิดเสียงที่ล็อบบี้', 'mute'],
    ['unmute please', 'unmute'],
    ['เปิดเสียงที่ล็อบบี้', 'unmute'],
    ['play', 'play'],
    ['please play', 'play'],
    ['resume the music', 'play'],
    ['restart the music', 'play'],
    ['เล่นต่อได้เลย', 'play'],
    ['stop the music', 'pause'],
    ['หยุดเพลงก่อน', 'pause'],
    ['next song please', 'skip'],
    ['ข้ามเพลงนี้', 'skip'],
    ['play jazz', 'change_playlist'],
    ['I want to play chillhop', 'change_playlist'],
    ['play Coldwater Hits', 'change_playlist'],
    ['เปลี่ยนแนวเพลงหน่อย', 'change_playlist'],
    ['christmas music please', 'schedule_music'],
    ['never play this again', 'block_song'],
    ['what song is this', 'what_playing'],
    ['เพลงนี้ชื่ออะไร', 'what_playing'],
    ['is the lobby offline?', 'status_check'],
    ['เช็คสถานะให้หน่อย', 'status_check'],
    ['list our zones', 'list_zones'],
    ['what time does the music start', 'schedule_query'],
    ['when does our contract end', 'contract_query'],
    ['how much does it cost', 'pricing_query'],
    ['who is our account manager', 'contact_query'],
    ['do you support airplay', 'product_query'],
    ['do we need a licence', 'licensing_query'],
    ['help', 'help'],
    ['there is no music', 'no_sound'],
    ['เพลงดับ', 'no_sound'],
    ['the system is offline', 'device_offline'],
    ['เน็ตหลุด', 'device_offline'],
    ['the speaker is broken', 'hardware'],
    ['it keeps cutting out', 'report_issue'],
    ['เพลงกระตุก', 'report_issue'],
    ['pairing code', 'pairing_help'],
    ['hello', 'greeting'],
    ['thank you!', 'thanks'],
    ['ขอบคุณค่ะ', 'thanks'],
    ['this is unacceptable', 'complaint'],
    ['we will cancel our contract', 'cancel_threat'],
    ['ขอใบเสนอราคา', 'quote_request'],
    ['can I have a demo', 'demo_request'],
    ['we own a restaurant', 'new_prospect'],
    ['we are opening a new branch', 'new_location'],
    ['I want to renew', 'renewal'],
  ])('%s → %s', (text, kind) => {
    expect(acted(text)).toEqual([kind])
  })
})

describe('what must not act', () => {
  test.each([
    "don't turn it down",
    'please do not stop the music',
    'no need to turn it up',
    'ไม่ต้องลดเสียงนะ',
    'อย่าเพิ่งปิดเพลง',
    'why did you turn it down?',
    'who turned the music off? did you pause it?',
    'ทำไมลดเสียงคะ',
    'should I turn it up?',
    'what is the next song?',
    "what's the weather like",
    'someone turned it down yesterday',
    'ok',
    '?',
    '',
  ])('"%s"', text => {
    const controls = [
      'volume_up',
      'volume_down',
      'volume_set',
      'mute',
      'unmute',
      'play',
      'pause',
      'skip',
      'change_playlist',
      'block_song',
    ]
    expect(acted(text).filter(kind => controls.includes(kind))).toEqual([])
  })

  test('a question about an action is still heard, to be asked back', () => {
    expect(read('why did you turn it down?')).toMatchObject([{ kind: 'volume_down' }])
  })

  test('nothing understood is unknown', () => {
    expect(read('lorem ipsum')).toEqual([{ kind: 'unknown', confidence: 0, clause: 'lorem ipsum' }])
  })

  test('a negation holds for its own wish only', () => {
    expect(acted("don't skip it, just turn it down")).toEqual(['volume_down'])
    expect(acted("don't stop but turn it down")).toEqual(['volume_down'])
  })
})

describe('several wishes', () => {
  test.each([
    ['turn down the lobby and pause the pool', ['pause', 'volume_down']],
    ['What zones do we have, are they all online?', ['list_zones', 'status_check']],
    ['The music stopped, please start it again', ['no_sound', 'play']],
    ['I run a cafe. How much is it, and do I need an MCPT licence?', ['licensing_query', 'new_prospect', 'pricing_query']],
    ["This is the third time this month. If it isn't fixed today we cancel.", ['cancel_threat', 'complaint']],
  ])('%s', (text, kinds) => {
    expect(acted(text).sort()).toEqual(kinds)
  })

  test('each keeps the words it stands in', () => {
    const clauses = new Map(
      intentsIn('turn down the §0 and pause the §1 for 20 minutes').map(({ kind, clause }) => [kind, clause]),
    )
    expect(clauses.get('volume_down')).toBe('turn down the §0')
    expect(clauses.get('pause')).toBe('pause the §1 for 20 minutes')
  })

  test('words without a wish belong to the wish before them', () => {
    expect(intentsIn('turn it down, §0 and §1 please')).toMatchObject([
      { kind: 'volume_down', clause: expect.stringContaining('§1') },
    ])
  })

  test('courtesies are left out beside a wish', () => {
    expect(acted('Hello, turn it down please, thank you!')).toEqual(['volume_down'])
  })

  test('a guest who complains about a song is no complaint', () => {
    expect(acted('skip this song, a guest is complaining')).toEqual(['skip'])
    expect(acted('ข้ามเพลงนี้ แขกบ่น')).toEqual(['skip'])
  })
})

test('the surest comes first', () => {
  const confidences = read('the contract, and I want to renew it').map(({ confidence }) => confidence)
  expect(confidences).toEqual([...confidences].sort((a, b) => b - a))
})
