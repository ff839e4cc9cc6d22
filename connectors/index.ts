/** Every connector. A new source or channel is its folder, and a line here. docs/CONNECTORS.md says how. */
import type { Connector } from './connector.ts'
import { sheets } from './sheets/index.ts'
import { soundtrack } from './soundtrack/index.ts'
import { whatsapp } from './whatsapp/index.ts'

export const CONNECTORS: readonly Connector[] = [whatsapp, soundtrack, sheets]
