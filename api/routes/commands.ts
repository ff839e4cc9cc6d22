/** Outcomes of commands. */
import { SELF_READ } from '../access/self.ts'
import { CommandOutcome } from '../command-schemas.ts'
import type { Commands } from '../commands.ts'
import { Problem } from '../problem.ts'
import { IdParams } from '../schemas.ts'
import type { Api } from '../types.ts'

export const permissions = { SELF_READ }

export function routes(app: Api, { commands }: { commands: Commands }): void {
  app.get(
    '/commands/:id',
    {
      config: { permission: SELF_READ, limit: 'status' },
      schema: { summary: 'The outcome of one of your writes', params: IdParams, response: { 200: CommandOutcome } },
    },
    async ({ params: { id }, principal }) => {
      const outcome = await commands.outcomeOf(principal, id)
      if (outcome === null) throw new Problem('not_found', `no command of yours with the id "${id}"`)
      return outcome
    },
  )
}
