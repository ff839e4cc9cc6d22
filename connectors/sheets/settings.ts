import { oneOf, optionalSection, text } from '../../settings/setting.ts'

export const sheetsSettings = optionalSection(
  'The venue sheet',
  {
    file: text('VENUES_CSV', 'The venue sheet as a CSV file; read again whenever it changes.'),
    source: text(
      'SHEET_SOURCE',
      'Name of the sheet in the log, where its path is not to be it: a sheet that moves stays the same.',
    ),
    dateOrder: oneOf(
      'SHEET_DATE_ORDER',
      null,
      ['dmy', 'mdy', 'ymd'],
      "Order of dates such as 4/5/2026; otherwise the sheet's other cells decide.",
    ),
    accept: text('SHEET_ACCEPT', 'What the operator accepts of a sheet that was refused, as its alert named it.'),
  },
  ['file'],
)
