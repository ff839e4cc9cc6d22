import { describe, expect, it } from 'vitest'
import { parseSheet, phoneDigits } from './csv.ts'

const HEADER =
  'venue_id,venue_name,location,contact_name,contact_email,contact_phone,soundtrack_account_id,zone_count,subscription_status,last_issue_date,notes,priority_level,sla_tier'

const sheet = (...lines: string[]) => parseSheet([HEADER, ...lines].join('\n'))

describe('a good row', () => {
  it('has every documented column, typed', () => {
    const { rows, refusals, error } = sheet(
      '7,Blue Lagoon,Patong Beach,Somchai,som@blue.example,+66 81-234-5678,acc-1,4,active,2026-02-28,"quiet, please",high,gold',
    )
    expect(error).toBeNull()
    expect(refusals).toEqual([])
    expect(rows).toEqual([
      {
        venue: '7',
        name: 'Blue Lagoon',
        location: 'Patong Beach',
        contactName: 'Somchai',
        contactEmail: 'som@blue.example',
        contactPhone: '66812345678',
        soundtrackAccount: 'acc-1',
        zoneCount: 4,
        subscriptionStatus: 'active',
        lastIssueDate: '2026-02-28',
        notes: 'quiet, please',
        priorityLevel: 'high',
        slaTier: 'gold',
      },
    ])
  })

  it('may leave all but the id and the name empty', () => {
    expect(sheet('8,Lotus Bay,,,,,,,,,,,').rows).toEqual([{ venue: '8', name: 'Lotus Bay', location: '' }])
    expect(sheet('8,Lotus Bay').rows).toHaveLength(1)
    expect(sheet('8,Lotus Bay,-,-,-,-,-,-,-,-,-,-,-').refusals).toEqual([])
  })

  it('may hold Thai, quoted newlines and doubled quotes', () => {
    const { rows } = sheet('9,บลูลากูน,"สุขุมวิท\nกรุงเทพ",,,,,,,,"เรียกว่า ""BL""",,')
    expect(rows[0]).toMatchObject({ name: 'บลูลากูน', location: 'สุขุมวิท\nกรุงเทพ', notes: 'เรียกว่า "BL"' })
  })
})

describe('columns', () => {
  it('are found by name in any order, spaces, case and underscores aside, and others are ignored', () => {
    const { rows } = parseSheet(
      'Colour,VENUE NAME, Venue-Id ,ZoneCount,Aliases,contact_position,volume_cap\nred,Siam Terrace,3,2,ST | เทอเรส|,GM,12',
    )
    expect(rows).toEqual([
      {
        venue: '3',
        name: 'Siam Terrace',
        location: '',
        zoneCount: 2,
        aliases: ['ST', 'เทอเรส'],
        contactPosition: 'GM',
        volumeCap: 12,
      },
    ])
  })

  it('need a byte order mark and CRLF as little as they mind them', () => {
    const { rows, refusals } = parseSheet('\ufeffvenue_id,venue_name\r\n1,"Blue\r\nLagoon"\r\n\r\n2,Lotus Bay\r\n')
    expect(rows.map(row => row.name)).toEqual(['Blue\nLagoon', 'Lotus Bay'])
    expect(refusals).toEqual([])
  })

  it('without the id or the name are no sheet, and neither is an empty text or a column given twice', () => {
    expect(parseSheet('venue_id,location\n1,x').error).toBe('no_header: line 1 has no column venue_name')
    expect(parseSheet('1,Blue Lagoon').error).toMatch(/^no_header: line 1 has no column venue_id, venue_name/)
    expect(parseSheet('venue_id,venue_name,Venue Name\n1,a,b').error).toMatch(/two columns venue_name/)
    expect(parseSheet(' \r\n').error).toBe('empty')
    expect(parseSheet('venue_id,"venue_name\n1,a').error).toMatch(/^no_header: line 1 cannot be read/)
  })
})

describe('a bad row', () => {
  it.each([
    ['x7,Name', 'venue_id "x7" is not a whole number'],
    [',Name', 'venue_id is missing'],
    ['5,  ', 'venue_name is missing'],
    ['5,Name,,,,,,four', 'zone_count "four" is not a whole number from 0 to 10000'],
    ['5,Name,,,,,,-1', 'zone_count "-1" is not a whole number from 0 to 10000'],
    ['5,Name,,,,,,,,31/12/2026', 'last_issue_date "31/12/2026" is not a date YYYY-MM-DD'],
    ['5,Name,,,,,,,,2026-02-30', 'last_issue_date "2026-02-30" is not a date YYYY-MM-DD'],
    ['5,Name,,,som at blue', 'contact_email "xxx xx xxxx" is not an e-mail address'],
    ['5,Name,,,,call me 12', 'contact_phone "xxxx xx 99" is not a phone number'],
    ['5,Na\ufffdme', 'venue_name "Na\ufffdme" is not UTF-8 text'],
    ['5,Name,a,b,c@d.example,,,1,a,2026-01-01,n,p,s,t', '14 cells under 13 columns'],
    ['5,Name,,,,,,x,,y', 'zone_count "x" is not a whole number from 0 to 10000; last_issue_date "y" is not a date YYYY-MM-DD'],
  ])('%j is refused with its line and reason, and its neighbours are kept', (line, reason) => {
    const { rows, refusals } = sheet('1,First', line, '2,Second')
    expect(rows.map(row => row.venue)).toEqual(['1', '2'])
    expect(refusals).toEqual([{ line: 3, reason }])
  })

  it('keeps its venue where the id can be read, and forbids removals where it cannot', () => {
    expect(sheet('5,')).toMatchObject({ kept: ['5'], removals: true })
    expect(sheet('five,Name')).toMatchObject({ kept: [], removals: false })
    expect(sheet('5,"Name')).toMatchObject({ kept: [], removals: false })
  })

  it('with an id that was there already is the one that is refused', () => {
    const { rows, refusals } = sheet('5,First', '6,Other', '05,Again')
    expect(rows.map(row => row.name)).toEqual(['First', 'Other'])
    expect(refusals).toEqual([{ line: 4, reason: 'venue_id 5 is on line 2 already' }])
  })

  it('with a quote that is never closed does not swallow the rows below', () => {
    const { rows, refusals } = sheet('1,First', '2,"Open', '3,Third', '4,Lotus "Bay"', '5,"Fifth"x', '6,Sixth')
    expect(rows.map(row => row.venue)).toEqual(['1', '3', '6'])
    expect(refusals.map(refusal => refusal.line)).toEqual([3, 5, 6])
  })

  it('is named by the line it begins on, below quoted newlines and empty lines too', () => {
    const { refusals } = sheet('1,"Two\nlines"', '', '2,', ',,,,', '3,')
    expect(refusals.map(refusal => refusal.line)).toEqual([5, 7])
  })
})

describe('a phone number', () => {
  it.each([
    ['+66 81 234 5678', '66812345678'],
    ['081-234-5678', '66812345678'],
    ["'0812345678", '66812345678'],
    ['0066 81 234 5678', '66812345678'],
    ['+66 (0)81 234 5678', '66812345678'],
    ['(02) 123.4567', '6621234567'],
    ['66812345678', '66812345678'],
    ['+1 415 555 0123', '14155550123'],
    ['12345', null],
    ['081 234 5678 / 089 999 9999', null],
    ['n/a', null],
    ['+0812345678', null],
  ])('%s reads as %s', (written, digits) => {
    expect(phoneDigits(written, '66')).toBe(digits)
  })
})
