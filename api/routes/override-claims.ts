/** Values that only one venue may be forced to, such as an account: its music would otherwise obey two venues. */
import type pg from 'pg'
import { Problem } from '../problem.ts'

/** Fields whose values are unique to a venue, with their columns. */
const UNIQUE_FIELDS: Readonly<Record<string, string>> = {
  soundtrackAccount: 'soundtrack_account_id',
  soundtrackLocation: 'soundtrack_location_id',
}
/** Base64 ids are compared without their padding. */
const normalized = (sql: string) => `rtrim(btrim(${sql}), '=')`
/** A claim expires if the outcome of its command is still unknown by then. */
const CLAIM_EXPIRY = '5 minutes'

export interface Claim {
  /** Call once the outcome of the command is known. */
  release(): Promise<void>
}

/**
 * Claims a value for a venue until the command that forces it is visible in Postgres, so that concurrent requests for other venues
 * are refused. Null for a field whose values need not be unique.
 * @param json the value as JSON
 * @throws {Problem} `conflict` if another venue has it, or is about to
 */
export async function claimValue(pool: pg.Pool, venue: string, field: string, json: string): Promise<Claim | null> {
  const value: unknown = JSON.parse(json)
  const column = Object.hasOwn(UNIQUE_FIELDS, field) ? UNIQUE_FIELDS[field] : undefined
  if (column === undefined || typeof value !== 'string') return null
  const { rowCount } = await pool.query(
    `INSERT INTO override_claims AS c (field, value, venue_id) VALUES ($1, ${normalized('$2')}, $3)
     ON CONFLICT (field, value) DO UPDATE SET venue_id = excluded.venue_id, at = now()
     WHERE c.venue_id = excluded.venue_id OR c.at < now() - interval '${CLAIM_EXPIRY}'`,
    [field, value, venue],
  )
  if (rowCount === 0)
    throw new Problem('conflict', `the ${field} "${value}" is being assigned to another venue: try again in a moment`)
  const release = async () => {
    await pool.query(`DELETE FROM override_claims WHERE field = $1 AND value = ${normalized('$2')} AND venue_id = $3`, [
      field,
      value,
      venue,
    ])
  }
  const { rows } = await pool.query<{ id: string }>(
    `SELECT id FROM venues WHERE ${normalized(column)} = ${normalized('$1')} AND id <> $2 AND NOT removed ORDER BY id LIMIT 1`,
    [value, venue],
  )
  if (rows[0] === undefined) return { release }
  await release()
  throw new Problem('conflict', `the ${field} "${value}" belongs to the venue ${rows[0].id}`)
}
