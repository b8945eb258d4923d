import { expect, test } from 'vitest'
import { permissionsBy } from '../../src/policies/mesh-traffic-permission/allowed.ts'
import { defaultRetries, mergeRetries } from '../../src/policies/retry/retries.ts'
import { defaultTimeouts, mergeTimeouts } from '../../src/policies/timeout/timeouts.ts'

const everybody = { sources: [], destinations: [] }

test('PO1 a mesh without policies has the default values of Kuma', () => {
  expect(mergeTimeouts(undefined, defaultTimeouts.gateway)).toMatchObject({
    connectMs: 5000,
    requestMs: 15_000,
    streamIdleMs: 5000,
  })
  expect(mergeTimeouts(undefined, defaultTimeouts.outbound)).toMatchObject({
    streamIdleMs: 1_800_000,
    idleMs: 3_600_000,
  })
  expect(mergeRetries(undefined)).toBe(defaultRetries)
})

test('PO2 a Timeout changes only the values that it sets', () => {
  const spec = {
    ...everybody,
    conf: { connectTimeout: '250ms', tcp: { idleTimeout: '1h' }, http: { requestTimeout: '0s', idleTimeout: '1m30s' } },
  }
  expect(mergeTimeouts(spec, defaultTimeouts.outbound)).toEqual({
    connectMs: 250,
    tcpIdleMs: 3_600_000,
    idleMs: 90_000,
    requestMs: 0,
    streamIdleMs: 1_800_000,
    maxStreamMs: 0,
  })
})

test('PO3 a Retry uses the condition names of Envoy, and status codes imply their condition', () => {
  const http = {
    numRetries: 3,
    perTryTimeout: '200ms',
    backOff: { baseInterval: '20ms', maxInterval: '1s' },
    retryOn: ['all_5xx', 'connect_failure'],
    retriableStatusCodes: [503],
    retriableMethods: ['GET' as const],
  }
  expect(mergeRetries({ ...everybody, conf: { http, tcp: { maxConnectAttempts: 3 } } })).toEqual({
    http: {
      retries: 3,
      perTryMs: 200,
      backOff: { baseMs: 20, maxMs: 1000 },
      retryOn: ['5xx', 'connect-failure', 'retriable-status-codes'],
      statusCodes: [503],
      methods: ['GET'],
    },
    grpc: undefined,
    tcpAttempts: 3,
  })
  expect(mergeRetries({ ...everybody, conf: { grpc: {} } }).grpc?.retryOn).toEqual(defaultRetries.grpc?.retryOn)
  expect(
    mergeRetries({ ...everybody, conf: { http: { backOff: { baseInterval: '0s' } } } }).http?.backOff?.baseMs,
  ).toBe(1)
})

test('PO4 a MeshTrafficPermission allows or denies the mesh and subsets of it', () => {
  const subset = { kind: 'MeshSubset', tags: { team: 'red' } }
  const because = ['global/MeshTrafficPermission/default/p']
  expect(
    permissionsBy({
      key: { origin: 'global', kind: 'MeshTrafficPermission', mesh: 'default', name: 'p' },
      stamp: { incarnation: 1, originRevision: 1, createdAtMs: 1, modifiedAtMs: 1 },
      labels: {},
      spec: {
        from: [
          { targetRef: { kind: 'Mesh' }, default: { action: 'Allow' } },
          { targetRef: subset, default: { action: 'Deny' } },
        ],
      },
    }),
  ).toEqual({
    allow: [{ policy: 'MeshTrafficPermission:p', source: {}, because }],
    deny: [{ policy: 'MeshTrafficPermission:p', source: { team: 'red' }, because }],
  })
})
