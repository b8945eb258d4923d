import { createSeededRandom } from '@zonemesh/shared/env/random.ts'

/** The names and numbers of the demo: those of the documentation, or random ones drawn from a seed. */
export interface DemoNames {
  readonly mesh: string
  readonly gateway: string
  readonly delegated: string
  readonly client: string
  /** `<svc>_<ns>_svc_<port>` */
  readonly service: string
  /** The port in the name of the service. */
  readonly servicePort: number
  readonly hostname: string
  readonly listenerTag: string
  readonly route: string
  readonly version1: string
  readonly version2: string
  readonly weight1: number
  readonly weight2: number
}

export const defaultNames: DemoNames = {
  mesh: 'default',
  gateway: 'edge-gateway',
  delegated: 'shop-gateway',
  client: 'client_demo_svc_3000',
  service: 'echo_demo_svc_8080',
  servicePort: 8080,
  hostname: 'shop.example.com',
  listenerTag: 'http-main',
  route: 'shop',
  version1: 'v1',
  version2: 'v2',
  weight1: 90,
  weight2: 10,
}

const words = [
  'amber',
  'birch',
  'cedar',
  'delta',
  'ember',
  'fjord',
  'grove',
  'heron',
  'islet',
  'juniper',
  'kelp',
  'lotus',
  'maple',
  'nectar',
  'onyx',
  'pebble',
]

/** Names drawn from a seed, which show that the demo does not depend on particular ones. */
export function drawNames(seed: number | undefined): DemoNames {
  if (seed === undefined) return defaultNames
  const random = createSeededRandom(seed)
  const number = (from: number, to: number) => from + Math.floor(random.fraction() * (to - from + 1))
  const left = [...words]
  const word = () => left.splice(number(0, left.length - 1), 1)[0] ?? 'word'
  const servicePort = number(1024, 9999)
  const namespace = word()
  const weight1 = number(1, 99)
  return {
    mesh: 'default',
    gateway: `${word()}-gateway`,
    delegated: `${word()}-gateway`,
    client: `${word()}_${namespace}_svc_${number(1024, 9999)}`,
    service: `${word()}_${namespace}_svc_${servicePort}`,
    servicePort,
    hostname: `${word()}.${word()}.example`,
    listenerTag: `http-${number(100, 999)}`,
    route: word(),
    version1: `${word()}-1`,
    version2: `${word()}-2`,
    weight1,
    weight2: 100 - weight1,
  }
}

/** `echo_demo_svc_8080` → `echo.demo.svc.8080.mesh`. */
export const meshName = (service: string): string => `${service.replaceAll('_', '.')}.mesh`
