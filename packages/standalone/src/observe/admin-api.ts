/**
 * The admin API is the command line over HTTP: the same table gives its paths, parameters, OpenAPI document and answers, so that what
 * `--json` prints and what a page gets are one.
 */
import type { CliCommand, OptionDeclaration, Outcome } from '@skylarkmq/tools'
import { kindOf } from './parameter-kinds.ts'
import type { ParameterKind } from './parameter-kinds.ts'

/** Commands that wait, ask back, or connect to an address that the caller names (an offset message id holds one) have no place here. */
const READS: ReadonlySet<string> = new Set([
  'clusterList',
  'brokerStatus',
  'getBrokerConfig',
  'getNamesrvConfig',
  'topicList',
  'topicRoute',
  'topicStatus',
  'groupList',
  'getConsumerConfig',
  'consumerConnection',
  'consumerProgress',
  'queryMsgByKey',
  'consumeMessage',
])
const CHANGES: Readonly<Record<string, 'POST' | 'DELETE'>> = {
  updateTopic: 'POST',
  deleteTopic: 'DELETE',
  updateSubGroup: 'POST',
  deleteSubGroup: 'DELETE',
}

export interface ApiRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly command: CliCommand
  readonly parameters: readonly ApiParameter[]
}

export interface ApiParameter {
  readonly name: string
  readonly meaning: string
  readonly kind: ParameterKind
  readonly required: boolean
  readonly default: string | undefined
}

export const API_PREFIX = '/api/v1'

/** Addresses: this process connects to the cluster's servers only, not wherever a page says. */
const ADDRESSES: ReadonlySet<string> = new Set(['broker', 'brokerAddr'])

/** `-t, --topic <topic>` is the parameter `topic`. */
const parameterOf = ({ flags, meaning, required, default: otherwise }: OptionDeclaration): ApiParameter | undefined => {
  const long = /--([\w-]+)/.exec(flags)?.[1]
  if (long === undefined || long === 'dry-run' || ADDRESSES.has(long)) return undefined
  return { name: long, meaning, kind: kindOf(flags), required: required === true, default: otherwise }
}

export function apiRoutes(commands: readonly CliCommand[], withChanges: boolean): readonly ApiRoute[] {
  return commands.flatMap((command) => {
    const method = READS.has(command.alias) ? 'GET' : withChanges ? CHANGES[command.alias] : undefined
    if (method === undefined) return []
    const verb = method === 'GET' ? `/${command.verb}` : ''
    const parameters = command.options.flatMap((option) => parameterOf(option) ?? [])
    return [{ method, path: `${API_PREFIX}/${command.noun}${verb}`, command, parameters }]
  })
}

/** The options that a query names; a sentence when one is missing, unknown, twice there or wrong. */
export function optionsOf(route: ApiRoute, query: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | string {
  const options: Record<string, string> = {}
  for (const [name, value] of Object.entries(query)) {
    const parameter = route.parameters.find((one) => one.name === name)
    if (parameter === undefined) {
      const known = route.parameters.map((parameter) => parameter.name).join(', ')
      return `the parameter ${JSON.stringify(name)} is not known; there ${known === '' ? 'are none' : `are ${known}`}`
    }
    if (typeof value !== 'string') return `the parameter ${name} is there more than once`
    const wrong = parameter.kind.wrong(value)
    if (wrong !== undefined) return `the parameter ${name} ${wrong}`
    options[name] = value
  }
  for (const parameter of route.parameters) {
    if (options[parameter.name] !== undefined) continue
    if (parameter.required) return `the parameter ${parameter.name} is missing: ${parameter.meaning}`
    if (parameter.default !== undefined) options[parameter.name] = parameter.default
  }
  return options
}

/** bigint has no JSON. */
export const jsonOf = (outcome: Outcome): string =>
  JSON.stringify(outcome.value ?? null, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))

const typed = ({ schema }: ParameterKind, text: string): unknown => (schema['type'] === 'string' ? text : JSON.parse(text))

const ERROR = { type: 'object', required: ['error'], properties: { error: { type: 'string' }, code: { type: 'string' } } }
const answer = (description: string, schema: object = ERROR) => ({ description, content: { 'application/json': { schema } } })

export function openApi(routes: readonly ApiRoute[], server: string): object {
  const paths: Record<string, Record<string, object>> = {}
  const add = (path: string, method: string, operation: object) => void ((paths[path] ??= {})[method.toLowerCase()] = operation)
  for (const { method, path, command, parameters } of routes) {
    add(path, method, {
      operationId: command.alias,
      summary: command.summary,
      tags: [command.noun],
      parameters: parameters.map((p) => ({
        name: p.name,
        in: 'query',
        description: p.meaning,
        required: p.required,
        schema: { ...p.kind.schema, ...(p.default === undefined ? {} : { default: typed(p.kind, p.default) }) },
      })),
      responses: {
        200: answer('What `--json` prints.', {}),
        400: answer('A parameter is wrong.'),
        404: answer('What was asked for is not there.'),
        409: answer('The cluster refuses.'),
        ...(method === 'GET' ? {} : { 415: answer('A change without the header content-type: application/json.') }),
        431: answer('The parameters together are too long: 16 KiB at most.'),
        502: answer('A server of the cluster does not answer.'),
        503: answer('Too many requests are under way: come again shortly.'),
      },
    })
  }
  const text = (description: string) => ({ description, content: { 'text/plain': { schema: { type: 'string' } } } })
  add('/metrics', 'GET', { operationId: 'metrics', summary: 'Figures for Prometheus', responses: { 200: text('Text format 0.0.4.') } })
  add('/health/live', 'GET', { operationId: 'live', summary: 'The process turns', responses: { 200: answer('It does.', {}) } })
  const ready = { 200: answer('It is ready.', {}), 503: answer('It is not, and why.', {}) }
  add('/health/ready', 'GET', { operationId: 'ready', summary: 'Ready for traffic', responses: ready })
  return {
    openapi: '3.0.3',
    info: { title: `SkylarkMQ ${server}`, version: '1', description: 'The command line over HTTP: answers are what `--json` prints.' },
    paths,
  }
}
