/** Keys of a changelog that belong to the engine; all others are keys of actors, or of the inputs of their attempts. */
export const reserved = {
  identity: '\0identity',
  position: '\0position',
  stop: '\0stop',
  inbox: '\0inbox',
  decision: '\0decision',
  schema: (fingerprint: string) => `\0schema:${fingerprint}`,
}
