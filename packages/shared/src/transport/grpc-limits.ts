import type { ServerInterceptingCall, ServerInterceptor, ServerOptions } from '@grpc/grpc-js'

/**
 * None of our peers and no Envoy compresses what it sends; a message of 16 KiB that grows to 16 MiB before anybody has looked at its
 * token would be a weapon. A compressed message is answered with UNIMPLEMENTED.
 */
const refuseCompressed: ServerInterceptor = (_method, call) => {
  // The one place where the encoding of a call is kept; a test of the doors sends a compressed message and would notice a new name.
  Reflect.set(call, 'incomingEncoding', 'none of those known')
  // Nothing is to be intercepted: the call itself is what its own wrapper would stand for.
  return call as ServerInterceptingCall
}

/** What every gRPC server of ours has. Frames, pings, resets and header lists are bounded by Node's own defaults for HTTP/2. */
export const serverLimits: ServerOptions = {
  interceptors: [refuseCompressed],
  /** A peer needs one or two calls on a connection; more wait at the peer. */
  'grpc.max_concurrent_streams': 16,
}
