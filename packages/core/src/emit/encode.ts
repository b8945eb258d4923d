import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { type Any, AnySchema, type Duration, DurationSchema } from '@bufbuild/protobuf/wkt'
import { shortHash } from '@zonemesh/shared/base/base.ts'
import { type Address, AddressSchema } from '../../gen/envoy/config/core/v3/address_pb.js'
import { ApiVersion, type ConfigSource, ConfigSourceSchema } from '../../gen/envoy/config/core/v3/config_source_pb.js'
import type { SocketAddress } from '../model/model.ts'
import type { XdsResource } from './table.ts'

/** The bytes of a message. The order of map entries is the order of insertion, so callers must sort them. */
export const encode = <Desc extends DescMessage>(schema: Desc, value: MessageInitShape<Desc>): Uint8Array =>
  toBinary(schema, create(schema, value))

/** A message inside an Any, the form in which extensions are configured. */
export const packed = <Desc extends DescMessage>(schema: Desc, value: MessageInitShape<Desc>): Any =>
  packedBytes(schema, encode(schema, value))

export const packedBytes = (schema: DescMessage, value: Uint8Array): Any =>
  create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value })

export const milliseconds = (ms: number): Duration => {
  const seconds = Math.floor(ms / 1000)
  return create(DurationSchema, { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1_000_000) })
}

/** `{ [field]: duration }`, or an empty object if Envoy's default applies. */
export const durationField = <Name extends string>(field: Name, ms: number | undefined) =>
  // The only member has the name `field`, which TypeScript widens to string.
  (ms === undefined ? {} : { [field]: milliseconds(ms) }) as { [key in Name]?: Duration }

/** A config source that uses the ADS stream on which the message was sent. */
export const overAds = (): ConfigSource =>
  create(ConfigSourceSchema, {
    configSourceSpecifier: { case: 'ads', value: {} },
    resourceApiVersion: ApiVersion.V3,
  })

export const socketAddress = ({ address, port }: SocketAddress): Address =>
  create(AddressSchema, {
    address: { case: 'socketAddress', value: { address, portSpecifier: { case: 'portValue', value: port } } },
  })

/** A finished resource. */
export const resourceOf = (
  name: string,
  bytes: Uint8Array,
  references: Omit<XdsResource, 'name' | 'bytes' | 'version'> = {},
): XdsResource => ({ name, bytes, version: shortHash(bytes), ...references })

/**
 * Memoises `make` by object identity. Units share equal values as one object, so each is encoded once for all proxies.
 */
export function once<From extends object, To>(make: (from: From) => To): (from: From) => To {
  const made = new WeakMap<From, To>()
  return (from) => {
    let to = made.get(from)
    if (to === undefined) {
      to = make(from)
      made.set(from, to)
    }
    return to
  }
}
