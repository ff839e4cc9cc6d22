/** Masks personal data for roles that may not see it. */

/** `+66•••••123`, `n•••@example.com`, `N•••`. */
export function masked(text: string | null): string | null {
  if (text === null || text === '') return text
  // Only if it is the whole text: in a sentence, anything may follow the address.
  const [, first, domain] = /^([^\s@])[^\s@]*@([a-z\d.-]+)$/i.exec(text) ?? []
  if (domain !== undefined) return `${first}•••@${domain}`
  if (/^\+?[\d\s()-]{6,}$/.test(text)) {
    const digits = text.replace(/\D/g, '')
    return `${text.startsWith('+') ? '+' : ''}${digits.slice(0, 2)}•••••${digits.slice(-3)}`
  }
  return `${[...text][0]}•••`
}

/** Masks the values at these paths, such as `senders.name`; arrays are traversed. Values that are not text become null. */
export function maskPaths(value: unknown, paths: readonly string[]): unknown {
  if (paths.length === 0 || value === null || typeof value !== 'object' || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(one => maskPaths(one, paths))
  const below = Map.groupBy(paths, path => path.split('.')[0] as string)
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const of = below.get(name)
      if (of === undefined) return [name, inner]
      if (of.includes(name)) return [name, typeof inner === 'string' ? masked(inner) : null]
      return [
        name,
        maskPaths(
          inner,
          of.map(path => path.slice(name.length + 1)),
        ),
      ]
    }),
  )
}
