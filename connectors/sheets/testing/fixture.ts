/** A sheet with every kind of bad cell, and what has to become of each: for tests and benchmarks. */
import type { SheetVenueInput } from '../../../schemas/types.ts'

export const COLUMN_NAMES = [
  'venue_id',
  'venue_name',
  'location',
  'contact_name',
  'contact_email',
  'contact_phone',
  'soundtrack_account_id',
  'zone_count',
  'subscription_status',
  'last_issue_date',
  'notes',
  'priority_level',
  'sla_tier',
] as const
type ColumnName = (typeof COLUMN_NAMES)[number]

export interface Oddity {
  /** Instead of the good cells. */
  readonly cells: Partial<Record<ColumnName, string>>
  /** What is read of them; `unread` names fields that say nothing. */
  readonly read?: Partial<SheetVenueInput>
  /** The columns that are told. */
  readonly told?: readonly ColumnName[]
  readonly refused?: boolean
}

const oddity = (column: ColumnName, cell: string, read: Partial<SheetVenueInput>, told = false): Oddity => ({
  cells: { [column]: cell },
  read,
  told: told ? [column] : [],
})
const unread = (column: ColumnName, field: keyof SheetVenueInput, cell: string): Oddity =>
  oddity(column, cell, { unread: [field] }, true)

/** Each in a row of its own. */
export const ODDITIES: readonly Oddity[] = [
  { cells: {} },
  unread('location', 'location', '#REF!'),
  unread('contact_name', 'contactName', 'x'.repeat(201)),
  unread('contact_email', 'contactEmail', 'dao at example'),
  oddity('contact_email', 'a@b.example; c@d.example', { contactEmail: 'a@b.example' }, true),
  oddity('contact_email', 'n/a', { contactEmail: undefined }),
  unread('contact_phone', 'contactPhone', '6.68E+10'),
  unread('contact_phone', 'contactPhone', '668000001010'),
  unread('contact_phone', 'contactPhone', 'ask the desk'),
  oddity('contact_phone', '66800000101.0', { contactPhone: '+66800000101' }),
  oddity('contact_phone', 'โทร. 080-000-0101 ต่อ 9', { contactPhone: '+66800000101' }),
  oddity('contact_phone', '080 000 0101 / 02 123 4567', { contactPhone: '+66800000101' }, true),
  oddity('contact_phone', 'ไม่มี', { contactPhone: undefined }),
  unread('zone_count', 'zoneCount', 'four'),
  unread('zone_count', 'zoneCount', '#DIV/0!'),
  oddity('zone_count', '4.0', { zoneCount: 4 }),
  oddity('zone_count', '"1,234"', { zoneCount: 1234 }),
  oddity('zone_count', '๔', { zoneCount: 4 }),
  unread('last_issue_date', 'lastIssueDate', '31/31/2026'),
  unread('last_issue_date', 'lastIssueDate', 'soon'),
  oddity('last_issue_date', '14/5/2026', { lastIssueDate: '2026-05-14' }),
  oddity('last_issue_date', '14/5/2569 09:30', { lastIssueDate: '2026-05-14' }),
  oddity('last_issue_date', '46156', { lastIssueDate: '2026-05-14' }),
  oddity('last_issue_date', '14 พ.ค. 2569', { lastIssueDate: '2026-05-14' }),
  unread('subscription_status', 'subscriptionStatus', '#N/A'),
  unread('notes', 'notes', 'Na\ufffdme'),
  oddity('notes', '"two\nlines, ""quoted"""', { notes: 'two\nlines, "quoted"' }),
  oddity('notes', 'the "best" bar', { notes: 'the "best" bar' }),
  { cells: { location: 'Lane 1, Bangkok' }, read: { unread: ['name', 'location', 'contactPhone'] }, told: [] },
  { cells: { venue_name: '' }, refused: true, told: ['venue_name'] },
  { cells: { venue_name: '#N/A' }, refused: true, told: ['venue_name'] },
  { cells: { venue_id: '1.0E+05' }, refused: true, told: ['venue_id'] },
]

/** The text of a sheet of so many rows, and the oddity of each. */
export function oddSheet(rows: number): { text: string; oddities: readonly Oddity[] } {
  const oddities = Array.from({ length: rows }, (_, n) => ODDITIES[n % ODDITIES.length] as Oddity)
  const lines = oddities.map(({ cells }, n) => {
    const good: Record<ColumnName, string> = {
      venue_id: String(n + 1),
      venue_name: `Venue ${n + 1}`,
      location: `Lane ${n + 1} Bangkok`,
      contact_name: 'Dao Invented',
      contact_email: `desk${n + 1}@venue.example`,
      contact_phone: '+66 80 000 0101',
      soundtrack_account_id: `account-${n + 1}`,
      zone_count: '4',
      subscription_status: 'active',
      last_issue_date: '2026-05-14',
      notes: '',
      priority_level: 'normal',
      sla_tier: 'standard',
    }
    return COLUMN_NAMES.map(name => cells[name] ?? good[name]).join(',')
  })
  return { text: [COLUMN_NAMES.join(','), ...lines].join('\r\n'), oddities }
}
