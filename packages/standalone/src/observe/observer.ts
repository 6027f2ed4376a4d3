/** One HTTP listener of a server: metrics, health, and the admin API. Loaded only when it is switched on, after the server serves. */
import { RocketError } from '@skylarkmq/client'
import type { Figure, Runtime } from '@skylarkmq/runtime'
import { COMMANDS, runCommand } from '@skylarkmq/tools'
import type { CliWorld } from '@skylarkmq/tools'
import { fastify } from 'fastify'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { API_PREFIX, apiRoutes, jsonOf, openApi, optionsOf } from './admin-api.ts'
import type { ApiRoute } from './admin-api.ts'
import { PROMETHEUS_TYPE, prometheusText } from './prometheus.ts'

export interface Observed {
  readonly name: string
  figures(): Iterable<Figure> | Promise<Iterable<Figure>>
  unready(): readonly string[]
}

export interface ObserverOptions {
  readonly host: string
  readonly port: number
  readonly adminApi: 'OFF' | 'READ' | 'CHANGE'
  /** Whom the admin API asks. */
  readonly namesrvAddr: string
  readonly runtime: Runtime
  /** Further figures: of the process. */
  figures?(): Iterable<Figure>
}

export interface Observer {
  readonly host: string
  readonly port: number
  close(): Promise<void>
}

const METHODS = ['GET', 'HEAD', 'POST', 'DELETE'] as const

/** Admin requests under way; the next is told to come again. */
const MOST_AT_ONCE = 16

export async function startObserver(observed: Observed, options: ObserverOptions): Promise<Observer> {
  const app = fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: true, routerOptions: { maxParamLength: 1024 } })
  // Bodies say nothing here: parameters are in the query.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined))
  app.get('/metrics', async (_request, reply) => {
    const figures = await observed.figures()
    return reply.type(PROMETHEUS_TYPE).send(prometheusText([...figures, ...(options.figures?.() ?? [])]))
  })
  app.get('/health/live', () => ({ status: 'up', server: observed.name }))
  app.get('/health/ready', (_request, reply) => {
    const reasons = observed.unready()
    return reply.code(reasons.length === 0 ? 200 : 503).send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons })
  })
  app.setNotFoundHandler((request, reply) => {
    const error = `there is no ${request.method} ${request.url.slice(0, 200)}; ${API_PREFIX}/openapi.json lists what there is`
    const path = request.url.split('?', 1)[0] as string
    const allowed = METHODS.filter((method) => app.hasRoute({ method, url: path }))
    if (allowed.length === 0) return reply.code(404).send({ error })
    return reply.code(405).header('allow', allowed.join(', ')).send({ error })
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const code = error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500 ? error.statusCode : 500
    if (code === 500) options.runtime.log.error('an HTTP request failed', { path: request.url.slice(0, 200), error })
    return reply.code(code).send({ error: code === 500 ? 'the server failed at this request; its log says why' : error.message })
  })
  if (options.adminApi !== 'OFF') addAdminApi(app, observed, options)
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  return { host: options.host, port, close: () => app.close() }
}

function addAdminApi(app: FastifyInstance, observed: Observed, options: ObserverOptions): void {
  const routes = apiRoutes(COMMANDS, options.adminApi === 'CHANGE')
  const document = openApi(routes, observed.name)
  let underWay = 0
  app.get(`${API_PREFIX}/openapi.json`, () => document)
  for (const route of routes) {
    app.route<{ Querystring: Record<string, unknown> }>({
      method: route.method,
      url: route.path,
      handler: async (request, reply) => {
        // A page of another site may send a form, but not this type without being asked first (CORS).
        if (route.method !== 'GET' && request.headers['content-type']?.startsWith('application/json') !== true)
          return reply.code(415).send({ error: 'changes need the header content-type: application/json' })
        if (underWay >= MOST_AT_ONCE) return reply.code(503).send({ error: `${MOST_AT_ONCE} requests are under way; try again shortly` })
        underWay++
        try {
          return await answer(route, request.query, reply, options)
        } finally {
          underWay--
        }
      },
    })
  }
}

async function answer(
  route: ApiRoute,
  query: Record<string, unknown>,
  reply: FastifyReply,
  options: ObserverOptions,
): Promise<FastifyReply> {
  const parsed = optionsOf(route, query)
  if (typeof parsed === 'string') return reply.code(400).send({ error: parsed, code: 'BAD_ARGUMENT' })
  const { runtime, namesrvAddr } = options
  if (namesrvAddr === '') return reply.code(502).send({ error: 'this broker has no NameServer (namesrvAddr): there is nobody to ask' })
  const warnings: string[] = []
  const world: CliWorld = { runtime, env: {}, stdout: () => {}, stderr: () => {} }
  try {
    const outcome = await runCommand(route.command, parsed, {
      namesrvAddr,
      runtime,
      world,
      say: (sentence) => void warnings.push(sentence),
    })
    reply.header('content-type', 'application/json; charset=utf-8')
    if (warnings.length > 0) reply.header('x-skylark-warnings', encodeURIComponent(warnings.join('; ')).slice(0, 2000))
    if ((outcome.exitCode ?? 0) === 0) return reply.send(jsonOf(outcome))
    return reply.code(404).send({ error: outcome.notes?.join('; ') ?? 'what was asked for is not there' })
  } catch (error) {
    if (!(error instanceof RocketError)) throw error
    return reply.code(statusOf(error)).send({ error: error.message, code: error.code })
  }
}

const NOT_THERE: ReadonlySet<string> = new Set([
  'TOPIC_NOT_EXIST',
  'QUERY_NOT_FOUND',
  'SUBSCRIPTION_GROUP_NOT_EXIST',
  'CONSUMER_NOT_ONLINE',
])
const AWAY: ReadonlySet<string> = new Set([
  'CONNECT_FAILED',
  'CONNECTION_LOST',
  'TIMEOUT',
  'NO_ROUTE',
  'SYSTEM_BUSY',
  'SERVICE_NOT_AVAILABLE',
])

function statusOf(error: RocketError): number {
  if (error.code === 'BAD_ARGUMENT' || error.code === 'INVALID_PARAMETER') return 400
  if (NOT_THERE.has(error.code)) return 404
  return AWAY.has(error.code) ? 502 : 409
}
