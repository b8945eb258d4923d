import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { Metadata, type ServerDuplexStream, status } from '@grpc/grpc-js'
import { messageOf, unreachable } from '@zonemesh/shared/base/base.ts'
import {
  type FromProxy,
  FromProxySchema,
  FromZoneSchema,
  type Hello,
} from '@zonemesh/shared/gen/zonemesh/proxy/v1/proxy_pb.js'
import { queryFrom, queryMessage } from '@zonemesh/shared/query/frames.ts'
import type { QueryFrame } from '@zonemesh/shared/query/query.ts'
import { type NamesFeed, type NamesTable, namesDifference } from '../names/names-feed.ts'
import { type Credentials, type ProxyIdentity, proxyId, type XdsDeps } from './contract.ts'
import { type Messages, messagesOf } from './messages.ts'
import { isProxyType } from './node.ts'
import type { ProxyQueries } from './proxy-queries.ts'

export type SessionCall = ServerDuplexStream<Buffer, Buffer>
type SessionDeps = Pick<XdsDeps, 'log' | 'authenticate' | 'holdToken' | 'openNames' | 'draining' | 'envoyExited'> & {
  readonly queries: Pick<ProxyQueries, 'open'>
}

const namesPerMessage = 1_000

/**
 * Runs the session with our own data plane, beside its ADS stream: sends names, and receives draining and exits of
 * Envoy. Calls `admit` with the connection when its token is verified.
 */
export async function runSession(deps: SessionDeps, call: SessionCall, admit: (peer: string) => void): Promise<void> {
  const ended = new AbortController()
  const stop = () => ended.abort()
  call.on('cancelled', stop).on('close', stop).on('error', stop)
  try {
    const messages = messagesOf(call)
    const first = await messages()
    if (!first) return
    const message = readable(first)?.message
    if (!message) return refuse(call, status.INVALID_ARGUMENT, 'expected a message of a proxy')
    if (message.case !== 'hello') return refuse(call, status.INVALID_ARGUMENT, 'a session begins with hello')
    const hello = message.value
    if (!isProxyType(hello.proxyType))
      return refuse(call, status.INVALID_ARGUMENT, `unknown proxy type ${hello.proxyType}`)
    const proxy = { type: hello.proxyType, mesh: hello.mesh, name: hello.name }
    const token = call.metadata.get('authorization')[0]?.toString()
    const allowed = await deps.authenticate(token, proxy, undefined)
    if (!allowed.ok) return refuse(call, status.UNAUTHENTICATED, allowed.error)
    admit(call.getPeer())
    using _held = deps.holdToken(token, proxy, (reason) => {
      refuse(call, status.UNAUTHENTICATED, reason)
      ended.abort()
    })
    await converse(deps, call, proxy, allowed.value, hello, messages, ended)
  } catch (error) {
    if (!ended.signal.aborted) refuse(call, status.INTERNAL, messageOf(error))
  } finally {
    stop()
    call.end()
  }
}

async function converse(
  deps: SessionDeps,
  call: SessionCall,
  proxy: ProxyIdentity,
  credentials: Credentials,
  hello: Hello,
  messages: Messages,
  ended: AbortController,
): Promise<void> {
  // The headers confirm to the proxy that it was admitted. Names may take longer.
  call.sendMetadata(new Metadata())
  const facts = { ...(hello.part === undefined ? {} : { part: hello.part }), canBindPort80: hello.canBindPort80 }
  const feed = deps.openNames(proxy, facts)
  const names = sendNames(call, feed, hello, ended.signal)
  using queries = deps.queries.open(proxy, {
    call,
    send: (frame) => void (ended.signal.aborted || call.write(encode(queryOf(frame)))),
    answers: hello.answersQueries,
    version: hello.version,
  })
  try {
    for (;;) {
      const next = await messages()
      if (!next || ended.signal.aborted) break
      const message = readable(next)
      if (!message) {
        refuse(call, status.INVALID_ARGUMENT, 'expected a message of a proxy')
        break
      }
      if (message.message.case !== 'query') await receive(deps, call, proxy, credentials, message)
      else {
        const frame = queryFrom(message.message.value)
        if (frame) queries.receive(frame)
      }
    }
  } finally {
    ended.abort()
    feed.close()
    await names
  }
}

/** Decodes a message. Returns undefined if the bytes are no message. */
function readable(bytes: Uint8Array): FromProxy | undefined {
  try {
    return fromBinary(FromProxySchema, bytes)
  } catch {
    return undefined
  }
}

async function receive(
  deps: SessionDeps,
  call: SessionCall,
  proxy: ProxyIdentity,
  credentials: Credentials,
  { message }: FromProxy,
): Promise<void> {
  switch (message.case) {
    case 'draining': {
      deps.log.info({ proxy: proxyId(proxy) }, 'a proxy drains')
      const drained = await deps.draining(proxy, credentials)
      if (!drained.ok) return refuse(call, status.PERMISSION_DENIED, drained.error)
      call.write(encode({ message: { case: 'removed', value: {} } }))
      return
    }
    case 'envoyExited':
      await deps.envoyExited(proxy, credentials, { code: message.value.exitCode, signal: message.value.signal })
      return
    case 'query':
    case 'hello':
    case undefined:
      return // frames of queries have their own receiver; a second hello has no effect; unknown messages of a newer data plane are skipped
    default:
      unreachable(message)
  }
}

/** Sends the changes since the last sent table. The feed keeps only the newest table, so a slow reader skips tables. */
async function sendNames(call: SessionCall, feed: NamesFeed, hello: Hello, signal: AbortSignal): Promise<void> {
  let sent: NamesTable | undefined
  for await (const _ of feed.names.watch(signal)) {
    while (call.writableNeedDrain && !signal.aborted)
      await new Promise((resolve) => call.once('drain', resolve).once('close', resolve))
    const table = feed.names.value
    if (!table || table === sent || signal.aborted) continue
    const known = !sent && hello.namesStore === table.store && Number(hello.namesRevision) === table.revision
    if (!known)
      for (const bytes of encodeNames(sent?.store === table.store ? sent : undefined, table)) call.write(bytes)
    sent = table
  }
}

/**
 * Encodes one message per thousand names. Only the first one resets, and only the last one carries the new revision.
 */
function* encodeNames(before: NamesTable | undefined, after: NamesTable): Iterable<Buffer> {
  const difference = namesDifference(before, after)
  const pages = Math.max(1, Math.ceil(difference.changed.length / namesPerMessage))
  for (let page = 0; page < pages; page++) {
    yield encode({
      message: {
        case: 'names',
        value: {
          reset: difference.reset && page === 0,
          store: after.store,
          revision: BigInt(page === pages - 1 ? after.revision : 0),
          ttlSeconds: after.ttlSeconds,
          domain: after.domain,
          changed: difference.changed
            .slice(page * namesPerMessage, (page + 1) * namesPerMessage)
            .map(({ name, addresses }) => ({ name, addresses: [...addresses] })),
          removed: page === 0 ? [...difference.removed] : [],
        },
      },
    })
  }
}

const queryOf = (frame: QueryFrame): FromZoneInit => ({ message: { case: 'query', value: queryMessage(frame) } })

type FromZoneInit = Parameters<typeof create<typeof FromZoneSchema>>[1]

const encode = (init: FromZoneInit): Buffer => Buffer.from(toBinary(FromZoneSchema, create(FromZoneSchema, init)))

function refuse(call: SessionCall, code: status, details: string): void {
  call.emit('error', { code, details })
}
