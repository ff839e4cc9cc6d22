/**
 * Ids and timer names of a venue.
 */

/** Id of the command that a request sends to a zone; there is only one. */
export function commandId(request: string, slot: number): string {
  return `${request}.${slot}`
}

/** Timer names: of a request by its number, of a zone by its id. */
export const timerOf = {
  request: (seq: number) => `request:${seq}`,
  job: (zone: string) => `job:${zone}`,
  late: (zone: string) => `late:${zone}`,
  resume: (zone: string) => `resume:${zone}`,
  offline: (zone: string) => `offline:${zone}`,
}
