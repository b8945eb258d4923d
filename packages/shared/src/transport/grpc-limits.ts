import type { ServerInterceptingCall, ServerInterceptor, ServerOptions } from '@grpc/grpc-js'

/**
 * None of our peers and no Envoy compresses messages. Without this limit an unauthenticated caller could send 16 KiB
 * that grow to 16 MiB before its token is checked. A compressed message is answered with UNIMPLEMENTED.
 */
const refuseCompressed: ServerInterceptor = (_method, call) => {
  // The private field with the encoding of a call. If it gets a new name, a test of the doors with a compressed message
  // fails.
  Reflect.set(call, 'incomingEncoding', 'none of those known')
  // Nothing is intercepted, and the call has the methods that its wrapper would have.
  return call as ServerInterceptingCall
}

/** The limits of all our gRPC servers. Node's defaults for HTTP/2 bound frames, pings, resets and header lists. */
export const serverLimits: ServerOptions = {
  interceptors: [refuseCompressed],
  /** A peer needs one or two calls on a connection. Further calls wait at the peer. */
  'grpc.max_concurrent_streams': 16,
}
