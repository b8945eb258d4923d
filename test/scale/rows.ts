import { globalOrigin } from '@zonemesh/shared/resource/resource.ts'
import type { Change } from '@zonemesh/shared/store/store.ts'

/** A change of a row, as measurements and the model send it. */
export type Put = Extract<Change, { op: 'put' }>

const mesh = 'default'
const service = (index: number) => `load-${index}_bench_svc_80`

/** A policy of the global, which every zone sees. */
export const policy = (index: number): Put => ({
  op: 'put',
  key: { origin: globalOrigin, kind: 'Timeout', mesh, name: `load-${index}` },
  labels: {},
  spec: {
    sources: [{ match: { 'kuma.io/service': '*' } }],
    destinations: [{ match: { 'kuma.io/service': service(index % 100) } }],
    conf: { connectTimeout: `${(index % 30) + 1}s` },
  },
})

/** A Dataplane with one inbound. It goes to the global and to no other zone. */
export const dataplane = (zone: string, index: number): Put => ({
  op: 'put',
  key: { origin: zone, kind: 'Dataplane', mesh, name: `load-${index}` },
  labels: {},
  spec: {
    networking: {
      address: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`,
      inbound: [
        {
          port: 8080,
          servicePort: 80,
          tags: {
            'kuma.io/service': service(index % 100),
            'kuma.io/protocol': 'http',
            'kuma.io/zone': zone,
            version: 'v1',
          },
        },
      ],
    },
  },
})

/** An announced tag set of a zone. The global relays it to all other zones. */
export const announcement = (zone: string, index: number): Put => ({
  op: 'put',
  key: { origin: zone, kind: 'AvailableService', mesh, name: `a0b1c2d3e4f5-${index}` },
  labels: {},
  spec: {
    tags: {
      'kuma.io/service': service(index),
      'kuma.io/protocol': 'http',
      'kuma.io/zone': zone,
      version: 'v1',
    },
    instances: (index % 50) + 1,
  },
})
