/** Secrets that could be guessed. */

const MIN_SECRET_CHARS = 32
/** Of 32 random hexadecimal digits there are fewer different ones once in a billion. */
const MIN_DIFFERENT_CHARS = 7
/** A secret that repeats itself is only as long as what it repeats. */
const MIN_UNIT_CHARS = 16

/** Why a secret could be guessed; null where it could not, or is not given. */
export function weakness(secret: string | null): string | null {
  if (secret === null) return null
  if (secret.length < MIN_SECRET_CHARS) return `is shorter than ${MIN_SECRET_CHARS} characters`
  const variety = new Set(secret).size
  if (variety < MIN_DIFFERENT_CHARS) return `has only ${variety} different characters`
  // A text that repeats a unit is found in its own double before its end.
  const unit = `${secret}${secret}`.indexOf(secret, 1)
  return unit < MIN_UNIT_CHARS ? `repeats ${unit} characters` : null
}
