import { plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import { isSqlExpression, isTagExpression } from '../groups/subscriptions.ts'

/** Why expressions of a type are not taken. Messages are never delivered unfiltered to a consumer that asked for a filter. */
export function refusedExpression({ settings }: { readonly settings: Settings }, expressionType: string | undefined): Refusal | undefined {
  if (isTagExpression(expressionType)) return undefined
  const isEnabled = settings.current.enablePropertyFilter
  if (isEnabled && isSqlExpression(expressionType)) return undefined
  const [why, otherwise] = isEnabled
    ? ['it knows TAG and SQL92', '']
    : ['enablePropertyFilter=false', ', or set it to true in the configuration of the broker']
  return refuse(
    'SYSTEM_ERROR',
    `The broker does not support consumer to filter message by ${plain(String(expressionType))} (${why}); ` +
      `subscribe with tags, as in TagA||TagB${otherwise}`,
  )
}

/** `fault` says where in the expression, and what. */
export const badExpression = (fault: string): Refusal =>
  refuse('SUBSCRIPTION_PARSE_FAILED', `parse the consumer's subscription failed: the SQL92 expression is wrong at ${fault}`)
