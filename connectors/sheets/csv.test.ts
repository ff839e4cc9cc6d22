import { describe, expect, it } from 'vitest'
import { type ParsedSheet, parseSheet, type SheetSettings } from './csv.ts'
import { type SheetProblem, textOf } from './problem.ts'

const HEADER =
  'venue_id,venue_name,location,contact_name,contact_email,contact_phone,soundtrack_account_id,zone_count,subscription_status,last_issue_date,notes,priority_level,sla_tier'

const sheet = (...lines: string[]) => parseSheet([HEADER, ...lines].join('\n'), { year: 2026 })
/** Fields that the four further columns would fill: a sheet without them says nothing of them. */
const ABSENT = ['contactPosition', 'soundtrackLocation', 'volumeCap', 'aliases']
/** What could not be read, as `line: reason`. */
const told = ({ refusals }: ParsedSheet) => refusals.map(({ line, reason }) => `${line}: ${reason}`)
const errorOf = (csv: string) => textOf(parseSheet(csv).error as SheetProblem)
/** The refusals that are not about the header. */
const below = ({ refusals }: ParsedSheet) => refusals.filter(({ line }) => line > 1)

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
        contactPhone: '+66812345678',
        soundtrackAccount: 'acc-1',
        zoneCount: 4,
        subscriptionStatus: 'active',
        lastIssueDate: '2026-02-28',
        notes: 'quiet, please',
        priorityLevel: 'high',
        slaTier: 'gold',
        unread: ABSENT,
      },
    ])
  })

  it('may leave all but the id and the name empty', () => {
    expect(sheet('8,Lotus Bay,,,,,,,,,,,').rows).toEqual([{ venue: '8', name: 'Lotus Bay', location: '', unread: ABSENT }])
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
    expect(rows).toMatchObject([
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

  it('need a byte order mark, CRLF and spaces of any kind as little as they mind them', () => {
    const parsed = parseSheet('\ufeffvenue_id,\u00a0Venue\u00a0Name \r\n1,"Blue\r\nLagoon"\r\n\r\n2,Lotus Bay\r\n')
    expect(parsed.rows.map(row => row.name)).toEqual(['Blue\nLagoon', 'Lotus Bay'])
    expect(below(parsed)).toEqual([])
    expect(parseSheet('venue_id,venue_name\r1,Blue Lagoon\r2,Lotus Bay').rows).toHaveLength(2)
  })

  it.each([
    ['a semicolon', 'venue_id;venue_name;location\n1;Blue, Lagoon;x'],
    ['a tab', 'venue_id\tvenue_name\tlocation\n1\tBlue, Lagoon\tx'],
    ['a bar', 'venue_id|venue_name|location\n1|Blue, Lagoon|x'],
    ["Excel's own first line", 'sep=;\nvenue_id;venue_name;location\n1;Blue, Lagoon;x'],
    ['a separator that only that line names', 'sep=^\nvenue_id^venue_name^location\n1^Blue, Lagoon^x'],
    ['spaces before its quotes', 'venue_id, venue_name, location\n1, "Blue, Lagoon", x'],
    ['a title above', 'Venues as of May,,\n\nvenue_id,venue_name,location\n1,"Blue, Lagoon",x'],
    ['whole lines in quotes', '"venue_id;venue_name;location"\n"1;Blue, Lagoon;x"'],
  ])('may come with %s', (_, text) => {
    expect(parseSheet(text).rows).toMatchObject([{ venue: '1', name: 'Blue, Lagoon', location: 'x' }])
  })

  it('that the sheet lacks say nothing, and neither do two of one name where they differ, which is told', () => {
    const parsed = parseSheet('venue_id,venue_name,location,notes,location\n1,A,x,n,x\n2,B,x,n,y\n3,C,,n,z')
    expect(parsed.rows.map(row => row.location)).toEqual(['x', '', 'z'])
    expect(parsed.rows[1]?.unread).toContain('location')
    expect(parsed.rows[0]?.unread).not.toContain('location')
    expect(parsed.rows[0]?.unread).toContain('contactPhone')
    expect(told(parsed)).toContain('1: there are two columns location: read where they agree')
    expect(told(parsed)).toContain('3: location "" is not the same in both columns')
  })

  it('without the id or the name are no sheet, and neither is an empty text or a column given twice', () => {
    expect(errorOf('venue_id,location\n1,x')).toBe('no_header: line 1 has no column venue_name')
    expect(errorOf('1,Blue Lagoon')).toMatch(/^no_header: line 1 has no column venue_id, venue_name/)
    expect(errorOf('venue_id,venue_name,Venue Name\n1,a,b')).toMatch(/two columns venue_name/)
    expect(errorOf(' \r\n')).toBe('empty')
    expect(errorOf('venue_id,"venue_name\n1,a')).toMatch(/^no_header: line 1 cannot be read/)
  })
})

describe('a cell that cannot be read', () => {
  it.each([
    ['5,Name,,,,,,four', 'zoneCount', 'zone_count "four" is not a whole number from 0 to 10000'],
    ['5,Name,,,,,,-1', 'zoneCount', 'zone_count "-1" is not a whole number from 0 to 10000'],
    ['5,Name,,,,,,#REF!', 'zoneCount', 'zone_count "#REF!" is not a value, but a formula that failed'],
    ['5,Name,#N/A', 'location', 'location "#N/A" is not a value, but a formula that failed'],
    ['5,Name,,,,,,,,31/31/2026', 'lastIssueDate', 'last_issue_date "31/31/2026" is not a date, such as 2026-05-14'],
    ['5,Name,,,,,,,,2026-02-30', 'lastIssueDate', 'last_issue_date "2026-02-30" is not a date, such as 2026-05-14'],
    ['5,Name,,,som at blue', 'contactEmail', 'contact_email "xxx xx xxxx" is not an e-mail address'],
    ['5,Name,,,,call me 12', 'contactPhone', 'contact_phone "xxxx xx 99" is not a phone number, such as +66812345678'],
    ['5,Name,,,,6.68E+10', 'contactPhone', 'contact_phone "9.99x+99" is not a phone number, such as +66812345678'],
    ['5,Name,Na\ufffdme', 'location', 'location "Na\ufffdme" is not UTF-8 text'],
    [`5,Name,${'x'.repeat(501)}`, 'location', `location "${'x'.repeat(39)}…" is not at most 500 characters`],
  ])('%j costs itself, with its line, column, value and what was expected', (line, field, reason) => {
    const parsed = sheet('1,First', line, '2,Second')
    expect(parsed.rows.map(row => row.venue)).toEqual(['1', '5', '2'])
    expect(parsed.rows[1]?.unread).toEqual([...ABSENT, field])
    expect(parsed.refused).toBe(0)
    const [problem, ...others] = parsed.refusals
    expect(problem).toMatchObject({ line: 3, reason, refused: false })
    expect(reason).toBe(`${problem?.column} "${problem?.value}" is not ${problem?.expected}`)
    expect(others).toEqual([])
  })

  it('that is personal shows its shape only, under a wrong column too', () => {
    expect(told(sheet('5,Name,,,081 234 5678,Dao Sands,,081-234-5678,,dao@b.example'))).toEqual([
      expect.stringMatching(/^2: contact_email "999 999 9999"/),
      expect.stringMatching(/^2: contact_phone "xxx xxxxx"/),
      expect.stringMatching(/^2: zone_count "999-999-9999"/),
      expect.stringMatching(/^2: last_issue_date "xxx@x.xxxxxxx"/),
    ])
  })

  it('is told for each cell of a row', () => {
    expect(told(sheet('5,Name,,,,,,x,,y'))).toEqual([
      expect.stringMatching(/^2: zone_count "x"/),
      expect.stringMatching(/^2: last_issue_date "y"/),
    ])
  })

  it.each(['', '-', 'N/A', 'n/a', 'NA', '–', '?', 'ไม่มี', 'ไม่ระบุ', 'None', 'unknown'])('is none that says nothing: %j', cell => {
    const parsed = sheet(`5,Name,,,${cell},${cell},,${cell},,${cell}`)
    expect(parsed.refusals).toEqual([])
    expect(parsed.rows).toEqual([{ venue: '5', name: 'Name', location: '', unread: ABSENT }])
  })

  it('of several phones or addresses leaves the first certain one, and tells of the others', () => {
    const parsed = sheet('5,Name,,,a@b.example; c@d.example,12 / 081 234 5678 / 02 123 4567')
    expect(parsed.rows).toMatchObject([{ contactEmail: 'a@b.example', contactPhone: '+66812345678', unread: ABSENT }])
    expect(told(parsed)).toEqual([
      expect.stringMatching(/^2: contact_email "x@x.xxxxxxx; .*is not one e-mail address; the first is taken/),
      expect.stringMatching(/^2: contact_phone "99 \/ 999.*is not one phone number; the first certain one is taken/),
    ])
  })

  it('under the wrong column, behind a comma that was not quoted, is not taken for another', () => {
    const parsed = sheet('5,Name,a,b,c@d.example,,,1,a,2026-01-01,n,p,s,t', '6,Other,b,c')
    expect(parsed.rows).toMatchObject([
      { venue: '5', location: '' },
      { venue: '6', location: 'b', contactName: 'c' },
    ])
    expect(parsed.rows[0]?.unread).toEqual(expect.arrayContaining(['name', 'location', 'contactEmail', 'slaTier']))
    expect(told(parsed)).toEqual([expect.stringMatching(/^2: 14 cells under 13 columns/)])
  })
})

describe('numbers that a program has turned into decimals', () => {
  it('are what they were', () => {
    const { rows, refusals } = sheet(
      '101.0,A,,,,66800000101.0,,4.0',
      '1.02E+2,B,,,,66800000102,,4',
      '๑๐๓,C,,,,"66,800,000,103",,"1,234"',
    )
    expect(refusals).toEqual([])
    expect(rows.map(({ venue, contactPhone, zoneCount }) => [venue, contactPhone, zoneCount])).toEqual([
      ['101', '+66800000101', 4],
      ['102', '+66800000102', 4],
      ['103', '+66800000103', 1234],
    ])
  })
})

describe('dates', () => {
  const dates = (cells: string[], settings: SheetSettings = {}) => {
    const text = ['venue_id,venue_name,last_issue_date', ...cells.map((cell, n) => `${n + 1},Venue,"${cell}"`)].join('\n')
    const parsed = parseSheet(text, { year: 2026, ...settings })
    return { dates: parsed.rows.map(row => row.lastIssueDate ?? null), told: below(parsed) }
  }

  it('have one order in a column, which the certain ones decide, and that is told', () => {
    const { dates: read, told } = dates(['4/5/2026', '14/5/2026', '2026-05-06', '6/7/2569'])
    expect(read).toEqual(['2026-05-04', '2026-05-14', '2026-05-06', '2026-07-06'])
    expect(told).toMatchObject([{ line: 2, column: 'last_issue_date', value: '4/5/2026', refused: false }])
    expect(told[0]?.reason).toMatch(/is read as 2026-05-04, as is one more like it: the column is day\/month\/year by line 3/)
    const alone = dates(['4/5/2026', '5/14/2026'])
    expect(alone.dates).toEqual(['2026-04-05', '2026-05-14'])
    expect(alone.told[0]?.reason).toMatch(/is read as 2026-04-05: the column is month\/day\/year by line 3/)
    const many = dates(['4/5/2026', '5/6/2026', '6/7/2026', '14/5/2026'])
    expect(many.told[0]?.reason).toMatch(/is read as 2026-05-04, as are 2 more like it: /)
  })

  it('that nothing decides, or that contradict each other, are told and not guessed', () => {
    const { dates: read, told } = dates(['4/5/2026', '2026-05-14', '5/5/2026'])
    expect(read).toEqual([null, '2026-05-14', '2026-05-05'])
    expect(told).toMatchObject([{ line: 2, value: '4/5/2026', expected: expect.stringMatching(/SHEET_DATE_ORDER/) }])
    expect(dates(['14/5/2026', '5/14/2026', '4/5/2026']).dates).toEqual(['2026-05-14', '2026-05-14', null])
  })

  it('are read in the order that is set, and in no other', () => {
    expect(dates(['4/5/2026', '5/14/2026'], { dateOrder: 'dmy' })).toMatchObject({
      dates: ['2026-05-04', null],
      told: [{ line: 3, expected: expect.stringMatching(/day\/month\/year/) }],
    })
  })
})

describe('a bad row', () => {
  it.each([
    ['x7,Name', 'venue_id "x7" is not a whole number'],
    [',Name', 'venue_id is missing'],
    ['#N/A,Name', 'venue_id "#N/A" is not a value, but a formula that failed'],
    ['1.0E+05,Name', 'venue_id "1.0E+05" is not a whole number'],
    ['101.5,Name', 'venue_id "101.5" is not a whole number'],
    ['5,  ', 'venue_name is missing'],
    ['5,N/A', 'venue_name is missing'],
    ['5,Na\ufffdme', 'venue_name "Na\ufffdme" is not UTF-8 text'],
    ['x,', 'venue_id "x" is not a whole number; venue_name is missing'],
  ])('%j is refused with its line and reason, and its neighbours are kept', (line, reason) => {
    const { rows, refusals, refused } = sheet('1,First', line, '2,Second')
    expect(rows.map(row => row.venue)).toEqual(['1', '2'])
    expect(refusals).toMatchObject([{ line: 3, reason, refused: true }])
    expect(refused).toBe(1)
  })

  it('keeps its venue where the id can be read, and forbids removals where it cannot', () => {
    expect(sheet('5,')).toMatchObject({ kept: ['5'], removals: true })
    expect(sheet('five,Name')).toMatchObject({ kept: [], removals: false })
    expect(sheet('5,"Name')).toMatchObject({ kept: [], removals: false })
  })

  it('with an id that was there already is the one that is refused', () => {
    const { rows, refusals } = sheet('5,First', '6,Other', '05,Again')
    expect(rows.map(row => row.name)).toEqual(['First', 'Other'])
    expect(refusals).toMatchObject([{ line: 4, reason: 'venue_id 5 is on line 2 already', refused: true }])
  })

  it('with a quote that is never closed does not swallow the rows below', () => {
    const { rows, refusals } = sheet('1,First', '2,"Open', '3,Third', '4,Lotus "Bay"', '5,"Fifth"x', '6,Sixth')
    expect(rows.map(row => row.venue)).toEqual(['1', '3', '6'])
    expect(refusals.map(refusal => refusal.line)).toEqual([3, 5, 6])
  })

  it('is none whose quotes are not doubled, as long as its cells fit the columns', () => {
    const parsed = parseSheet(
      'venue_id,venue_name,location\n1,Lotus "Bay",x\n2,"The "Best" Bar",y\n3,"The \\"Old\\" Bar",z\n4,Fourth,',
    )
    expect(parsed.rows.map(row => row.name)).toEqual(['Lotus "Bay"', 'The "Best" Bar', 'The "Old" Bar', 'Fourth'])
    expect(below(parsed)).toEqual([])
  })

  it('is named by the line it begins on, below quoted newlines and empty lines too', () => {
    const { refusals } = sheet('1,"Two\nlines"', '', '2,', ',,,,', '3,')
    expect(refusals.map(refusal => refusal.line)).toEqual([5, 7])
  })
})
