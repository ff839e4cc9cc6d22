/** What a send carries as `biz_opaque_callback_data`, and every status of it brings back. */
export function encodeCallbackData(conversation: string, attempt: string): string {
  return `${conversation}/${attempt}`
}

export function decodeCallbackData(value: unknown): { conversation: string; attempt: string } | null {
  if (typeof value !== 'string') return null
  const slash = value.lastIndexOf('/')
  if (slash < 1 || slash === value.length - 1) return null
  return { conversation: value.slice(0, slash), attempt: value.slice(slash + 1) }
}
