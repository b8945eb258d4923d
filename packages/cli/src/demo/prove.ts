import { existsSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { resolve } from '@zonemesh/shared/dns/resolve.ts'
import { delay, systemClock } from '@zonemesh/shared/env/clock.ts'
import { type HttpAnswer, requestOnce, untilAnswer } from '../base/http.ts'
import { readDocuments } from '../files/documents.ts'
import { columns } from '../output/table.ts'
import type { Steps } from '../scene/stage.ts'
import { demoFolder } from './files.ts'
import { meshName } from './names.ts'
import type { Demo } from './run.ts'

const local = '127.0.0.1'
const limitMs = 30_000
const describe = (answer: HttpAnswer): string => `${answer.status} ${answer.body.trim().slice(0, 200)}`
const answeredBy = (answer: HttpAnswer, zone: string, version?: string): boolean =>
  answer.status === 200 &&
  answer.headers['x-zone'] === zone &&
  (version === undefined || answer.headers['x-version'] === version)

/** The route that sends all requests to one version. */
async function routeTo(demo: Demo, version: string): Promise<object> {
  const [document] = await readDocuments([join(demoFolder, 'policies/40-route.yaml')], { ...demo.variables, version })
  // The file contains one object.
  return document?.content as object
}

/** Changes the route on the global. Returns the time until the gateway of the other zone used the new route. */
export async function changeRoute(demo: Demo, version: string): Promise<number> {
  const body = await routeTo(demo, version)
  using agent = disposable(new Agent({ keepAlive: true, maxSockets: 1 }))
  const ask = () =>
    requestOnce({ host: local, port: demo.gatewayPort, hostname: demo.names.hostname, path: '/', agent: agent.value })
  await ask()
  const startMs = performance.now()
  const written = demo.global.need('PUT', `/meshes/${demo.names.mesh}/meshgatewayroutes/${demo.names.route}`, body)
  for (;;) {
    const answer = await ask()
    const nowMs = performance.now()
    if (answeredBy(answer, 'west', version)) {
      await written
      return nowMs - startMs
    }
    // A pause between requests: without it, the probes would use the CPU that the change needs.
    await delay(systemClock, 1, AbortSignal.timeout(10_000))
    if (nowMs - startMs > 10_000)
      throw new Error(`the gateway did not take the new route within 10 s; it answers ${describe(answer)}`)
  }
}

const disposable = (value: Agent) => ({ value, [Symbol.dispose]: () => value.destroy() })

/** Checks the demo step by step. Throws at the first failure. */
export async function prove(demo: Demo, steps: Steps): Promise<void> {
  const { names } = demo
  const gateway = (path: string) => () =>
    requestOnce({ host: local, port: demo.gatewayPort, hostname: names.hostname, path })
  const first = await untilAnswer(
    "east's gateway answers from west",
    limitMs,
    gateway('/'),
    (answer) => answeredBy(answer, 'west', names.version1),
    describe,
  )
  steps.done(
    `Envoys configured; a request to http://${names.hostname}:${demo.gatewayPort}/ entered in east and was answered in ${String(first.headers['x-zone'])} by ${String(first.headers['x-version'])}`,
  )

  const split = new Set<string>()
  await untilAnswer(
    'the split reaches both versions',
    limitMs,
    gateway('/split'),
    (answer) =>
      split.add(String(answer.headers['x-version'])).size >= 2 &&
      split.has(names.version1) &&
      split.has(names.version2),
    describe,
  )
  steps.done(`weights ${names.weight1}:${names.weight2}: both ${names.version1} and ${names.version2} answer on /split`)

  const name = meshName(names.service)
  const answer = await untilAnswer(
    `${name} resolves in east`,
    limitMs,
    () => resolve(name, { host: local, port: demo.zones.east.dnsPort }, AbortSignal.timeout(2_000)),
    (one) => one.addresses.length > 0,
    (one) => `rcode ${one.rcode}`,
  )
  steps.done(`${name} is ${answer.addresses.join(', ')} at the resolver of zone east`)

  const delegated = () =>
    requestOnce({ host: local, port: demo.delegatedPort, hostname: 'anything.example', path: '/by-name' })
  await untilAnswer(
    'the delegated gateway reaches west by name',
    limitMs,
    delegated,
    (one) => answeredBy(one, 'west'),
    describe,
  )
  steps.done(
    `the delegated gateway (${demo.delegatedKind}) reached west as http://${name}:${names.servicePort} through its sidecar`,
  )

  const client = () => requestOnce({ host: local, port: demo.clientOutboundPort, hostname: names.service, path: '/' })
  await untilAnswer(
    'the client reaches west through its outbound',
    limitMs,
    client,
    (one) => answeredBy(one, 'west'),
    describe,
  )
  steps.done(`the client service reached west through its outbound on port ${demo.clientOutboundPort}`)

  // The first change runs cold code; the later ones show the usual time.
  const delaysMs: number[] = []
  for (let index = 0; index < 6; index += 1)
    delaysMs.push(await changeRoute(demo, index % 2 === 0 ? names.version2 : names.version1))
  steps.done(
    `route changed six times on the global: east's gateway answered the new way after ${delaysMs.map((one) => one.toFixed(1)).join(', ')} ms`,
  )
}

/** A command to try, and what it shows. */
export interface Invitation {
  readonly label: string
  readonly command: string
}

/** Command lines that work as printed in another terminal, from the present folder. The first one is for the others. */
export function invitations(demo: Demo, hasDig: boolean): readonly Invitation[] {
  const { names } = demo
  // In a checkout the command is not installed.
  const zonemesh = existsSync('bin/zonemesh') ? 'bin/zonemesh' : 'zonemesh'
  const name = meshName(names.service)
  const [resolverHost, resolverPort] = demo.sidecarResolver.split(':')
  const route = `meshgatewayroute ${names.route}`
  return [
    { label: 'settings for this shell', command: `eval "$(${zonemesh} demo env)"` },
    { label: 'enter in east, answered in west', command: 'curl -s -H "host: $SHOP" $GATEWAY/' },
    { label: `split ${names.weight1}:${names.weight2}`, command: 'curl -s -H "host: $SHOP" $GATEWAY/split' },
    {
      label: `the delegated gateway (${demo.delegatedKind})`,
      command: `curl -s http://${local}:${demo.delegatedPort}/`,
    },
    { label: 'a name at the resolver of east', command: `${zonemesh} resolve ${name} --at $RESOLVER` },
    { label: 'the same beside a proxy', command: `${zonemesh} resolve ${name} --at ${demo.sidecarResolver}` },
    ...(hasDig
      ? [{ label: 'the same with dig', command: `dig +short @${resolverHost} -p ${resolverPort} ${name}` }]
      : []),
    { label: 'zones and proxies', command: `${zonemesh} status` },
    { label: 'what an Envoy runs', command: `${zonemesh} proxy config gateway-1` },
    {
      label: 'the path of a request',
      command: `${zonemesh} explain http://${names.hostname}:${demo.gatewayPort}/ --from east/${names.gateway}`,
    },
    { label: 'proxies', command: `${zonemesh} get dataplanes` },
    { label: 'the route, to edit', command: `${zonemesh} get ${route} -o yaml` },
    { label: 'what changed', command: `${zonemesh} history ${route.replace(' ', '/')}` },
    { label: 'undo the last change', command: `${zonemesh} rollback @-1 ${route.replace(' ', '/')} --wait served@all` },
    ...(demo.stackFile
      ? [{ label: 'a fault, with a verdict', command: `${zonemesh} chaos partition east --for 20s` }]
      : []),
  ]
}

/** The invitations as lines. */
export const invitationLines = (demo: Demo, hasDig: boolean): readonly string[] =>
  columns(invitations(demo, hasDig).map(({ label, command }) => [label, command]))
