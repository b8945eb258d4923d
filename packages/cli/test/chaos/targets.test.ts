import { expect, test } from 'vitest'
import { type Destination, passes, pathOf, type Target } from '../../src/chaos/targets.ts'

const gateway: Target = { name: 'gateway-1', kind: 'gateway', zone: 'east', service: 'edge' }
const delegated: Target = { name: 'shop-1', kind: 'gateway', zone: 'east', service: 'shop' }
const client: Target = { name: 'client-1', kind: 'sidecar', zone: 'east', service: 'client' }
const ingressEast: Target = { name: 'ingress-east', kind: 'ingress', zone: 'east' }
const ingressWest: Target = { name: 'ingress-west', kind: 'ingress', zone: 'west' }
const echo1: Target = { name: 'echo-1', kind: 'sidecar', zone: 'west', service: 'echo', version: 'v1' }
const echo2: Target = { ...echo1, name: 'echo-2', version: 'v2' }
const service1: Target = { ...echo1, name: 'echo-1-service', kind: 'service' }
const targets = [gateway, delegated, client, ingressEast, ingressWest, echo1, echo2, service1]

const anyVersion: Destination = { service: 'echo', zone: 'west' }
const first: Destination = { ...anyVersion, version: 'v1' }
const second: Destination = { ...anyVersion, version: 'v2' }
const east: Destination = { service: 'client', zone: 'east' }
const throughShop: Destination = { ...anyVersion, entrance: '127.0.0.1:1', gateway: 'shop' }
const destinations = [anyVersion, first, second, east, throughShop]

test('B36 a request must pass its gateway, the ingress of another zone, and the only instance of its service', () => {
  const table = targets.map((one) => [
    one.name,
    ...destinations.map((to) => passes({ gateway: 'edge', targets }, one, to)),
  ])
  const [always, sometimes, never] = ['always', 'sometimes', 'never']
  expect(table).toEqual([
    ['gateway-1', always, always, always, always, never],
    ['shop-1', never, never, never, never, always],
    ['client-1', never, never, never, always, never],
    ['ingress-east', never, never, never, never, never],
    ['ingress-west', always, always, always, never, always],
    ['echo-1', sometimes, always, never, never, sometimes],
    ['echo-2', sometimes, never, always, never, sometimes],
    ['echo-1-service', always, always, never, never, always],
  ])
})

test('B36 with a second ingress of a zone no request must pass the first one, and each destination has a path of its own', () => {
  const more = [...targets, { ...ingressWest, name: 'ingress-west-2' }]
  expect(passes({ gateway: 'edge', targets: more }, ingressWest, anyVersion)).toBe('sometimes')
  expect(new Set(destinations.map(pathOf)).size).toBe(destinations.length)
})

test('B36 a request enters at one instance of a gateway, and leaves its zone through the egress of it', () => {
  const [east, south] = ['127.0.0.1:8080', '127.0.0.1:8081']
  const inEast: Target = { ...gateway, entrance: east }
  const inSouth: Target = { ...gateway, name: 'gateway-2', zone: 'south', entrance: south }
  const egressEast: Target = { name: 'egress-east', kind: 'egress', zone: 'east' }
  const egressSouth: Target = { name: 'egress-south', kind: 'egress', zone: 'south' }
  const egressWest: Target = { name: 'egress-west', kind: 'egress', zone: 'west' }
  const instances = [inEast, inSouth, egressEast, egressSouth, egressWest]
  const fleet = { gateway: 'edge', entrance: east, targets: instances }
  const fromSouth: Destination = { ...anyVersion, entrance: south, gateway: 'edge' }
  const [always, never] = ['always', 'never']
  expect(instances.map((one) => [one.name, ...[anyVersion, fromSouth].map((to) => passes(fleet, one, to))])).toEqual([
    ['gateway-1', always, never],
    ['gateway-2', never, always],
    ['egress-east', always, never],
    ['egress-south', never, always],
    ['egress-west', never, never],
  ])
})
