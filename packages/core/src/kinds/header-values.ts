/**
 * The commands `%NAME%` that may be used in header values. They describe only the request or the connection. Envoy has
 * others, some of which read files and environment variables of its host, and some of which crash it.
 */
const commands = new Set(
  [
    'DOWNSTREAM_REMOTE_ADDRESS DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT',
    'DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT',
    'DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT',
    'DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_PEER_SUBJECT',
    'DOWNSTREAM_PEER_ISSUER DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256',
    'DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END',
    'DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_VERSION',
    'HOSTNAME PROTOCOL UPSTREAM_PROTOCOL REQUESTED_SERVER_NAME CONNECTION_ID STREAM_ID ROUTE_NAME',
    'UPSTREAM_HOST UPSTREAM_CLUSTER UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_PORT',
    'UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
    'UPSTREAM_REMOTE_PORT RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_FLAGS BYTES_RECEIVED BYTES_SENT DURATION',
    'REQUEST_DURATION RESPONSE_DURATION RESPONSE_TX_DURATION START_TIME',
  ].flatMap((line) => line.split(' ')),
)

const header = "[\\w!#$&'*+.^`|~:-]+"
const part = new RegExp(
  `%%|%([A-Z0-9_]+)%|%(?:REQ|RESP)\\(${header}(?:\\?${header})?\\)(?::\\d{1,5})?%|%START_TIME\\([^()]{1,100}\\)%|[^%]+`,
  'g',
)

/** The fault of a header value that is set or added; undefined if Envoy accepts the value. */
export function headerValueFault(value: string): string | undefined {
  if (hasControl(value)) return 'must not have control characters'
  if (Buffer.byteLength(value) > headerBytesMax) return `must have at most ${headerBytesMax} bytes`
  let end = 0
  for (const { 0: text, 1: command, index } of value.matchAll(part)) {
    if (index > end || (command !== undefined && !commands.has(command))) break
    end = index + text.length
  }
  return end === value.length
    ? undefined
    : `has a "%" at ${end} that begins none of the commands that can be used; write "%%" for the sign itself`
}

/** Envoy's limit for header names and for header values. */
export const headerBytesMax = 16_384

/** Tabs are allowed inside a value. */
export const hasControl = (text: string): boolean =>
  [...text].some((one) => (one < ' ' && one !== '\t') || one === '\u007f')

/** Whether a text is a valid header name by RFC 9110. */
export const isHeaderName = (text: string): boolean =>
  text.length <= headerBytesMax && /^[\w!#$%&'*+.^`|~-]+$/.test(text)
