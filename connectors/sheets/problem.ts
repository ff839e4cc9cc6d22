/** Why a sheet cannot be used. */
export type ProblemCode = 'missing' | 'unreadable' | 'empty' | 'not_csv' | 'no_header' | 'too_large'

export interface SheetProblem {
  readonly code: ProblemCode
  /** For people. */
  readonly detail: string
}

export function problem(code: ProblemCode, detail = ''): SheetProblem {
  return { code, detail }
}

/** In one line, as alerts and runs show it. */
export function textOf({ code, detail }: SheetProblem): string {
  return detail === '' ? code : `${code}: ${detail}`
}

/** Whether nobody could read the sheet, so that it is tried again soon. Any other problem is one of its content. */
export function isUnread(code: string): boolean {
  return code === 'missing' || code === 'unreadable'
}

/** The code in a text by `textOf`, for records that have no field for it. */
export function codeIn(text: string): string {
  return text.split(':', 1)[0] as string
}
