/** Fields of a venue that can be forced, and what no two venues have forced upon them, such as an account: its music would obey both. */
import type pg from 'pg'
import { Problem } from '../problem.ts'

/** Fields that decide whose music plays, or who is trusted. */
export const OF_THE_WHOLE: ReadonlySet<string> = new Set(['soundtrackAccount', 'soundtrackLocation', 'contactPhone'])

/** Where each field is that can be forced. */
export const COLUMNS: Readonly<Record<string, string>> = {
  name: 'name',
  location: 'location',
  aliases: 'aliases',
  contactName: 'contact_name',
  contactEmail: 'contact_email',
  contactPhone: 'contact_phone',
  contactPosition: 'contact_position',
  soundtrackAccount: 'soundtrack_account_id',
  soundtrackLocation: 'soundtrack_location_id',
  zoneCount: 'zone_count',
  subscriptionStatus: 'subscription_status',
  lastIssueDate: 'last_issue_date',
  notes: 'notes',
  priorityLevel: 'priority_level',
  slaTier: 'sla_tier',
  volumeCap: 'volume_cap',
}

export async function fieldOf(pool: pg.Pool, venue: string, column: string): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>(`SELECT to_jsonb(${column}) AS value FROM venues WHERE id = $1`, [venue])
  return rows[0]?.value
}

/** Fields of which a value is one venue's, and where each is. */
const UNSHARED: Readonly<Record<string, string>> = {
  soundtrackAccount: 'soundtrack_account_id',
  soundtrackLocation: 'soundtrack_location_id',
}
/** An id in base64 is the same one without its padding. */
const same = (sql: string) => `rtrim(btrim(${sql}), '=')`
/** A command whose outcome is not known by then is not waited for any more. */
const HELD = '5 minutes'

export interface Claim {
  /** To be called once it is known what has become of the command. */
  release(): Promise<void>
}

/**
 * Holds a value for a venue, so that whoever wants it for another meanwhile is refused: a command is seen in the serving store only
 * once its actor has handled it. Null where there is nothing to be held.
 * @param json of the value
 * @throws {Problem} `conflict` where another venue has it, or is about to
 */
export async function claim(pool: pg.Pool, venue: string, field: string, json: string): Promise<Claim | null> {
  const value: unknown = JSON.parse(json)
  const column = Object.hasOwn(UNSHARED, field) ? UNSHARED[field] : undefined
  if (column === undefined || typeof value !== 'string') return null
  const { rowCount } = await pool.query(
    `INSERT INTO override_claims AS c (field, value, venue_id) VALUES ($1, ${same('$2')}, $3)
     ON CONFLICT (field, value) DO UPDATE SET venue_id = excluded.venue_id, at = now()
     WHERE c.venue_id = excluded.venue_id OR c.at < now() - interval '${HELD}'`,
    [field, value, venue],
  )
  if (rowCount === 0)
    throw new Problem('conflict', `the ${field} "${value}" is about to be the one of another venue: look again in a moment`)
  const release = async () => {
    await pool.query(`DELETE FROM override_claims WHERE field = $1 AND value = ${same('$2')} AND venue_id = $3`, [
      field,
      value,
      venue,
    ])
  }
  const { rows } = await pool.query<{ id: string }>(
    `SELECT id FROM venues WHERE ${same(column)} = ${same('$1')} AND id <> $2 AND NOT removed ORDER BY id LIMIT 1`,
    [value, venue],
  )
  if (rows[0] === undefined) return { release }
  await release()
  throw new Problem('conflict', `the ${field} "${value}" is the one of the venue ${rows[0].id}`)
}
