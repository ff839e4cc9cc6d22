/**
 * Keys and ids that the venue makes.
 */

/** Id of the one command that a request causes at a zone. */
export function commandId(request: string, slot: number): string {
  return `${request}.${slot}`
}

/** Names of the timers: of a request by its number, of a zone by its id. */
export const timerOf = {
  request: (seq: number) => `request:${seq}`,
  job: (zone: string) => `job:${zone}`,
  late: (zone: string) => `late:${zone}`,
  resume: (zone: string) => `resume:${zone}`,
  offline: (zone: string) => `offline:${zone}`,
}
