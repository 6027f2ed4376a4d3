export { joinAddress, parseAddress } from './transport/address.ts'
export { expectSuccess } from './transport/answer.ts'
export { createRemotingClient } from './transport/remoting-client.ts'
export { startRemotingServer } from './transport/remoting-server.ts'
export { clientHandler, route } from './transport/types.ts'
export type {
  Answer,
  ClientHandler,
  FastPath,
  FrameView,
  InvokeOptions,
  Lane,
  Processor,
  RemotingClient,
  RemotingClientOptions,
  BodyToPut,
  RemotingServer,
  RemotingServerOptions,
  Reply,
  RequestContext,
  Route,
  RunPath,
  ServerConnection,
  ServerLimits,
} from './transport/types.ts'
