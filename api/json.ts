/** JSON bodies: values are not coerced to other types, and nesting is limited. */
import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifyInstance, FastifySchema, FastifySchemaCompiler } from 'fastify'
import { Problem } from './problem.ts'

/** Deeper nesting is refused before parsing, since later code may recurse. */
export const MAX_DEPTH = 64

const [QUOTE, BACKSLASH, OPEN, CLOSE] = ['"', '\\', '[{', ']}'].map(signs => [...signs].map(sign => sign.charCodeAt(0))) as [
  [number],
  [number],
  number[],
  number[],
]

/** Whether a JSON text nests arrays and objects deeper than `most`, in one pass without recursion. */
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

/** Accepts only JSON request bodies. */
export function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (!isDeeper(body as string)) return parse(request, body as string, done)
    done(new Problem('invalid_body', `the body is nested more than ${MAX_DEPTH} levels deep`))
  })
  app.setValidatorCompiler(validators())
}

/** Unknown fields are refused, not dropped. Path, query and headers are text, from which numbers are parsed. */
function validators(): FastifySchemaCompiler<FastifySchema> {
  const compiler = (coerceTypes: false | 'array') =>
    AjvCompiler()({}, { customOptions: { removeAdditional: false, coerceTypes } })
  const [coerced, strict] = [compiler('array'), compiler(false)]
  return route => (route.httpPart === 'body' ? strict : coerced)(route as never) as never
}
