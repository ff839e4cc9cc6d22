/** Bodies as JSON, taken as they are: no value becomes one of another type, and none is nested deeper than anybody needs. */
import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler } from 'fastify'
import { Problem } from './problem.ts'

/** What is nested deeper is refused before it is parsed: whatever walks it later may do so by recursion. */
export const MAX_DEPTH = 64

const [QUOTE, BACKSLASH, OPEN, CLOSE] = ['"', '\\', '[{', ']}'].map(signs => [...signs].map(sign => sign.charCodeAt(0))) as [
  [number],
  [number],
  number[],
  number[],
]

/** Whether a JSON text nests arrays and objects deeper than `most`; in one pass, so that its depth costs nothing. */
export function isDeeper(json: string, most = MAX_DEPTH): boolean {
  let depth = 0
  let inText = false
  for (let at = 0; at < json.length; at++) {
    const sign = json.charCodeAt(at)
    if (inText) {
      if (sign === BACKSLASH[0]) at++
      else if (sign === QUOTE[0]) inText = false
    } else if (sign === QUOTE[0]) inText = true
    else if (OPEN.includes(sign)) {
      if (++depth > most) return true
    } else if (CLOSE.includes(sign)) depth--
  }
  return false
}

/** Takes JSON, and nothing else, as the body of a request. */
export function jsonBodies(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (!isDeeper(body as string)) return parse(request, body as string, done)
    done(new Problem('invalid_body', `the body is nested deeper than ${MAX_DEPTH} levels`))
  })
  app.setValidatorCompiler(validators())
}

/** What a schema does not have is refused, not dropped. In a path, a query and headers all is text, and a number is one that it spells. */
function validators(): FastifySchemaCompiler<FastifySchema> {
  const compiler = (coerceTypes: false | 'array') =>
    AjvCompiler()({}, { customOptions: { removeAdditional: false, coerceTypes } })
  const [spelled, asItIs] = [compiler('array'), compiler(false)]
  return route => (route.httpPart === 'body' ? asItIs : spelled)(route as never) as never
}
