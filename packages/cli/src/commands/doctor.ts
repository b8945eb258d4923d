import { explain as explainRequest } from '@zonemesh/core/explain/explain.ts'
import type { Sources } from '@zonemesh/core/explain/sources.ts'
import { dataplane } from '@zonemesh/core/kinds/dataplane.ts'
import { parsedRows } from '@zonemesh/core/kinds/row.ts'
import { zoneIngress } from '@zonemesh/core/kinds/zone-ingress.ts'
import { keyText } from '@zonemesh/shared/resource/resource.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { type Probe, probeConnect, probeRequest, probeTls } from '../explain/probe.ts'
import { explanationLines } from '../explain/show.ts'
import { readWay, wayOptions } from './explain.ts'

const { files: _files, var: _var, ...options } = wayOptions

/** The addresses of the gateway and of the ingresses in an explanation. */
function placesOf(sources: Sources, keys: readonly string[]) {
  const rows = [...sources.zones.values()].flatMap((zone) => zone.rows).filter((row) => keys.includes(keyText(row.key)))
  const ofKind = (name: string) => rows.filter((row) => row.key.kind === name)
  const gateway = parsedRows(dataplane, ofKind(dataplane.name))
    .map(({ spec }) => spec.networking)
    .find((networking) => networking?.gateway?.type === 'BUILTIN')
  const ingresses = parsedRows(zoneIngress, ofKind(zoneIngress.name)).flatMap(({ key, spec }) => {
    const { advertisedAddress, advertisedPort } = spec.networking ?? {}
    return advertisedAddress && advertisedPort
      ? [{ zone: key.origin, host: advertisedAddress, port: advertisedPort }]
      : []
  })
  const unique = new Map(ingresses.map((one) => [`${one.host}:${one.port}`, one]))
  return { gateway: gateway?.advertisedAddress ?? gateway?.address, ingresses: [...unique.values()] }
}

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'explain a request, then try it: connections, certificate, and the request itself',
  usage: 'URL --from ZONE/GATEWAY [--zone NAME=URL…]',
  examples: ['zonemesh doctor http://shop.example.com:8080/cart --from east/edge-gateway'],
  arity: { min: 1, max: 1 },
  options,
  async run(values, context) {
    const { request, from, sources } = await readWay({ ...values, files: [], var: [] }, context)
    const explanation = explainRequest(request, from, sources)
    for (const line of explanationLines(explanation)) context.print(line)
    const { gateway, ingresses } = placesOf(
      sources,
      explanation.steps.flatMap(({ decidedBy }) => decidedBy.map(({ key }) => key)),
    )
    if (gateway === undefined) throw new CommandError('there is no gateway to try: the explanation stops before it')
    const isTls = request.scheme === 'https' || request.scheme === 'tls'
    const probes: Probe[] = [
      await probeConnect('the gateway', gateway, request.port),
      ...(isTls ? [await probeTls(gateway, request.port, request.host, sources.nowMs)] : []),
      ...(request.scheme === 'http' || request.scheme === 'https' ? [await probeRequest(gateway, request)] : []),
      ...(await Promise.all(
        ingresses.map(({ zone, host, port }) => probeConnect(`the ingress of ${zone}, from here`, host, port)),
      )),
    ]
    for (const { what, ok, text } of probes) context.print(`${ok ? '✔' : '✘'} ${what}: ${text}`)
    return explanation.mismatch || probes.some(({ ok }) => !ok) ? 1 : 0
  },
})
