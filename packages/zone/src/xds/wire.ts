import { fromBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import type { XdsResource } from '@zonemesh/core/emit/table.ts'
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from '@zonemesh/core/gen/envoy/service/discovery/v3/discovery_pb.js'
import type { AdsEffect, AdsRequest } from './ads-state.ts'

/** Field numbers of envoy.service.discovery.v3.DeltaDiscoveryResponse, Resource, and google.protobuf.Any. */
const response = { resources: 2, nonce: 5, typeUrl: 4, removedResources: 6 } as const
const entry = { version: 1, resource: 2, name: 3 } as const
const any = { typeUrl: 1, value: 2 } as const

const entryByResource = new WeakMap<XdsResource, Uint8Array>()

/** The bytes of a DeltaDiscoveryResponse. A resource of many proxies is encoded once and then copied. */
export function encodeResponse(send: Extract<AdsEffect, { type: 'send' }>): Buffer {
  const parts: Uint8Array[] = []
  for (const resource of send.changed) {
    let bytes = entryByResource.get(resource)
    if (!bytes) {
      bytes = encodeEntry(send.typeUrl, resource)
      entryByResource.set(resource, bytes)
    }
    parts.push(bytes)
  }
  const rest = new BinaryWriter()
  rest.tag(response.typeUrl, WireType.LengthDelimited).string(send.typeUrl)
  rest.tag(response.nonce, WireType.LengthDelimited).string(send.nonce)
  for (const name of send.removed) rest.tag(response.removedResources, WireType.LengthDelimited).string(name)
  parts.push(rest.finish())
  return Buffer.concat(parts)
}

function encodeEntry(typeUrl: string, resource: XdsResource): Uint8Array {
  return new BinaryWriter()
    .tag(response.resources, WireType.LengthDelimited)
    .fork()
    .tag(entry.version, WireType.LengthDelimited)
    .string(resource.version)
    .tag(entry.resource, WireType.LengthDelimited)
    .fork()
    .tag(any.typeUrl, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(any.value, WireType.LengthDelimited)
    .bytes(resource.bytes)
    .join()
    .tag(entry.name, WireType.LengthDelimited)
    .string(resource.name)
    .join()
    .finish()
}

/** Decodes a request. Throws if the bytes are no request. */
export const decodeRequest = (bytes: Uint8Array): DeltaDiscoveryRequest =>
  fromBinary(DeltaDiscoveryRequestSchema, bytes)

/** The parts of a request that the step needs. */
export const requestFrom = (message: DeltaDiscoveryRequest): AdsRequest => ({
  typeUrl: message.typeUrl,
  nonce: message.responseNonce,
  subscribe: message.resourceNamesSubscribe,
  unsubscribe: message.resourceNamesUnsubscribe,
  initial: message.initialResourceVersions,
  ...(message.errorDetail ? { error: message.errorDetail.message } : {}),
})
