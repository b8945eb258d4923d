import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts } from '@zonemesh/cli/scene/ports.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { mesh } from '../../conformance/gateway/documents.ts'
import { startScene } from '../../conformance/gateway/scene.ts'
import { until } from '../../e2e/rig.ts'
import { type Figure, outFile, percentile, writeFigures } from '../figures.ts'
import { startChainByHand, startService } from './by-hand.ts'
import { measureCompile } from './compile.ts'
import { wrk } from './wrk.ts'

// npm run bench -- gateway [-- --short] [-- --out FILE]: what a request through the builtin gateway costs beside the same hops configured
// by hand, routes that change under load, and how long tables take. Needs wrk.
const short = process.argv.includes('--short')
const rounds = short ? 4 : 30
const seconds = 1
const connections = 32
const host = 'bench.example'
const service = 'fast_bench_svc_80'
const failures: string[] = []

const folder = mkdtempSync(join(tmpdir(), 'zonemesh-bench-gateway-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const [servicePort = 0, inbound = 0, ...handPorts] = await freePorts(systemRandom, 8)
const byHand = (at: number) => ({
  gateway: handPorts[at] ?? 0,
  ingress: handPorts[at + 1] ?? 0,
  sidecar: handPorts[at + 2] ?? 0,
  service: servicePort,
})
const [bare, dutiful] = [byHand(0), byHand(3)]
const feature = {
  name: 'bench',
  routes: [{ http: [{ matches: [{ path: { match: 'PREFIX', value: '/' } }], backends: [{ to: service }] }] }],
  cases: [],
}
const figures: Figure[] = measureCompile(1_000, 2_000, short ? 50 : 300)
await using scene = await startScene([feature])
const envoy = process.env['ZONEMESH_ENVOY'] ?? 'envoy'
const fast = await startService(envoy, folder, servicePort)
const chains = [
  await startChainByHand(envoy, folder, 'bare', bare),
  await startChainByHand(envoy, folder, 'dutiful', dutiful),
]
try {
  await scene.startProxy('west', {
    type: 'Dataplane',
    mesh,
    name: 'fast',
    networking: {
      address: '127.0.0.1',
      inbound: [
        {
          port: inbound,
          serviceAddress: '127.0.0.1',
          servicePort,
          tags: { 'kuma.io/service': service, 'kuma.io/protocol': 'http' },
        },
      ],
    },
  })
  const ours = scene.portOf('bench')
  for (const port of [ours, bare.gateway, dutiful.gateway])
    await until(
      'the chain answers',
      () => fetch(`http://127.0.0.1:${port}/`, { headers: { host } }),
      (answer) => answer.status === 200,
    )
  figures.push(...(await throughput(ours)), ...(await updates(ours)))
} finally {
  for (const chain of chains) await chain.stop()
  await fast.stop()
}
writeFigures(outFile(process.argv, 'gateway.json'), {
  short,
  counts: { rounds, seconds, connections },
  figures,
  failures,
})
for (const failure of failures) process.stderr.write(`${failure}\n`)
process.exit(failures.length > 0 ? 1 : 0)

/** In short turns, and each compared with those beside it: what else this machine does meets all of them. */
async function throughput(ours: number): Promise<Figure[]> {
  const ports = { ours, dutiful: dutiful.gateway, bare: bare.gateway }
  const seen = { ours: [] as number[], dutiful: [] as number[], bare: [] as number[] }
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of ['ours', 'dutiful', 'bare'] as const) {
      const one = await wrk(ports[name], host, { seconds, connections })
      if (one.failed > 0) failures.push(`${name}: ${one.failed} requests failed`)
      // The first of each warms up.
      if (round > 0) seen[name].push(one.perSecond)
    }
  }
  const ratios = (name: 'dutiful' | 'bare') => seen.ours.map((one, index) => one / (seen[name][index] ?? Number.NaN))
  const ratio = percentile(ratios('dutiful'), 0.5)
  if (ratio < 0.95)
    failures.push(`through our gateway: ${ratio.toFixed(3)} of the requests per second by hand, wanted 0.95`)
  return [
    {
      name: 'requests per second through our gateway, ingress and sidecar, mutual TLS',
      unit: '1/s',
      samples: seen.ours,
    },
    {
      name: 'the same hops by hand, with the settings of an edge, identity and permission',
      unit: '1/s',
      samples: seen.dutiful,
    },
    { name: 'the same hops by hand, bare', unit: '1/s', samples: seen.bare },
    { name: 'ours to by hand, each two turns (target: p50 at least 0.95)', unit: '', samples: ratios('dutiful') },
    { name: 'ours to by hand, bare', unit: '', samples: ratios('bare') },
  ]
}

/** A thousand changes of a route under load: no request fails, and each answer is of one revision. */
async function updates(ours: number): Promise<Figure[]> {
  const script = join(folder, 'agree.lua')
  writeFileSync(
    script,
    `local wrong = 0
response = function(status, headers, body)
  if headers["x-left"] ~= headers["x-right"] then wrong = wrong + 1; print("disagree") end
end
`,
  )
  const changes = short ? 50 : 1_000
  const goal = short ? 0 : 1_000_000
  let changing = true
  let requests = 0
  let failed = 0
  let disagreeing = 0
  const load = (async () => {
    while (changing || requests < goal) {
      const one = await wrk(ours, host, { seconds: 5, connections, script })
      requests += one.requests
      failed += one.failed
      disagreeing += one.out.split('disagree').length - 1
    }
  })()
  const samples: number[] = []
  for (let index = 0; index < changes; index += 1) {
    const value = [
      { name: 'x-left', value: `r${index}` },
      { name: 'x-right', value: `r${index}` },
    ]
    const startMs = performance.now()
    await scene.global.need('PUT', `/meshes/${mesh}/meshgatewayroutes/bench-0`, {
      type: 'MeshGatewayRoute',
      mesh,
      name: 'bench-0',
      selectors: [{ match: { 'kuma.io/service': 'conformance-gateway', feature: 'bench' } }],
      conf: {
        http: {
          rules: [
            {
              matches: [{ path: { match: 'PREFIX', value: '/' } }],
              filters: [{ responseHeader: { set: value } }],
              backends: [{ destination: { 'kuma.io/service': service } }],
            },
          ],
        },
      },
    })
    samples.push(performance.now() - startMs)
  }
  changing = false
  await load
  if (failed + disagreeing > 0)
    failures.push(`${failed} of ${requests} requests failed, ${disagreeing} answers were of two revisions`)
  return [
    { name: `${changes} changes of a route under load: each PUT`, unit: 'ms', samples },
    { name: 'requests meanwhile', unit: '', samples: [requests] },
    { name: 'failed, or of two revisions', unit: '', samples: [failed + disagreeing], target: { max: 0 } },
  ]
}
