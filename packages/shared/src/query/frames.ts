import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Query, QuerySchema } from '../../gen/zonemesh/query/v1/query_pb.js'
import { faultCodes, type QueryFrame } from './query.ts'

/** A frame of a query as its message. */
export function queryMessage(frame: QueryFrame): MessageInitShape<typeof QuerySchema> {
  const id = BigInt(frame.id)
  switch (frame.type) {
    case 'ask':
      return { id, part: { case: 'ask', value: { name: frame.name, request: frame.request } } }
    case 'answer':
      return { id, part: { case: 'answer', value: { bytes: frame.bytes, last: frame.last } } }
    case 'fault':
      return { id, part: { case: 'fault', value: frame.fault } }
    case 'cancel':
      return { id, part: { case: 'cancel', value: {} } }
  }
}

/** The frame of a message; undefined if its kind belongs to a later protocol. An unknown code counts as `failed`. */
export function queryFrom({ id: number, part }: Query): QueryFrame | undefined {
  const id = Number(number)
  switch (part.case) {
    case 'ask':
      return { type: 'ask', id, name: part.value.name, request: part.value.request }
    case 'answer':
      return { type: 'answer', id, bytes: part.value.bytes, last: part.value.last }
    case 'fault': {
      const code = faultCodes.find((known) => known === part.value.code) ?? 'failed'
      return { type: 'fault', id, fault: { code, reason: part.value.reason } }
    }
    case 'cancel':
      return { type: 'cancel', id }
    case undefined:
      return undefined
  }
}
