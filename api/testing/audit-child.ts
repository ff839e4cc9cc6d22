/** A process that serves reads of personal data with an audit trail, on the given log and folder, until it is killed. */
import fastify from 'fastify'
import { Registry } from 'prom-client'
import { allTopics } from '../../topics/catalog.ts'
import { Codec } from '../../topics/codec.ts'
import { openLocalLog } from '../../topics/local/log.ts'
import { handleError } from '../problem.ts'
import { AuditTrail } from '../access/audit-trail.ts'
import { addAuditHooks } from '../access/audit-hooks.ts'

const [file = '', folder = ''] = process.argv.slice(2)
const log = await openLocalLog({ file, topics: allTopics() })
const codec = await Codec.open(log, allTopics())
const SCOPE = { tenant: 'main', regions: null, venues: null }
const logger = { error: console.error, warn: () => {} } as never
const trail = await AuditTrail.open({ log, codec, logger, registry: new Registry(), folder })
const app = fastify({ genReqId: ({ headers }) => String(headers['x-request-id']) })
app.setErrorHandler(handleError)
app.decorateRequest('principal', null as never)
app.decorateRequest('audited', null as never)
addAuditHooks(app, trail)
app.addHook('onRequest', async request => {
  request.principal = { id: 'main:nok', kind: 'user', name: 'Nok', role: 'agent', scope: SCOPE }
})
app.get('/persons', { config: { personal: true } }, (_request, reply) => void reply.send({ name: 'Nok' }))
process.stdout.write(`${await app.listen({ host: '127.0.0.1', port: 0 })}\n`)
