/**
 * What a query costs, counted from its text alone: every object field costs 1 times the `first` of every connection it is
 * in, its own included. Scalars, and the edges and nodes that connections are made of, are free.
 */
import {
  type DocumentNode,
  type FieldNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  valueFromASTUntyped,
} from 'graphql'

/** A connection that is asked for without `first` gives, and costs, this much. [unconfirmed] */
export const DEFAULT_PAGE = 10

export function complexity(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | undefined,
  variables: Record<string, unknown>,
): number {
  const operation = getOperationAST(document, operationName)
  const root = operation == null ? undefined : schema.getRootType(operation.operation)
  if (operation == null || root == null) return 0

  const cost = (selections: SelectionSetNode | undefined, type: GraphQLNamedType, factor: number): number => {
    let sum = 0
    for (const selection of selections?.selections ?? []) {
      if (selection.kind === Kind.FIELD) sum += costOfField(selection, type, factor)
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition?.name.value
        sum += cost(selection.selectionSet, (on === undefined ? undefined : schema.getType(on)) ?? type, factor)
      } else {
        const fragment = document.definitions.find(
          d => d.kind === Kind.FRAGMENT_DEFINITION && d.name.value === selection.name.value,
        )
        if (fragment?.kind !== Kind.FRAGMENT_DEFINITION) continue
        sum += cost(fragment.selectionSet, schema.getType(fragment.typeCondition.name.value) ?? type, factor)
      }
    }
    return sum
  }
  const costOfField = (field: FieldNode, parent: GraphQLNamedType, factor: number): number => {
    if (!isObjectType(parent) && !isInterfaceType(parent)) return 0
    const definition = parent.getFields()[field.name.value]
    if (definition === undefined) return 0
    const type = getNamedType(definition.type)
    if (!isCompositeType(type)) return 0
    if (/(Connection|Edge)$/.test(parent.name)) return cost(field.selectionSet, type, factor)
    const product = factor * (type.name.endsWith('Connection') ? pageOf(field, variables) : 1)
    return product + cost(field.selectionSet, type, product)
  }
  return cost(operation.selectionSet, root, 1)
}

function pageOf(field: FieldNode, variables: Record<string, unknown>): number {
  const first = field.arguments?.find(a => a.name.value === 'first')?.value
  const value = first === undefined ? undefined : valueFromASTUntyped(first, variables)
  return typeof value === 'number' && value >= 0 ? value : DEFAULT_PAGE
}
