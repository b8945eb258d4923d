import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { clientOptions, createClient, readText } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { tableOrJson } from '../base/output-form.ts'
import { dataFolderOf, findRunning, sceneOptions } from '../base/running-scene.ts'
import { defaultAddress, targetOf } from '../base/target.ts'
import type { Finding } from '../check/finding.ts'
import { judgeMachine, readMachine } from '../check/machine.ts'
import { checkPlane, tokenFindings } from '../check/planes.ts'
import { checkPorts } from '../check/ports.ts'
import { type Colour, painted } from '../output/colour.ts'
import { columns } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

export const check = defineCommand({
  name: 'check',
  summary:
    'check this machine before a start: ports, Envoy, disk, memory and limits; and after it: planes, zones, clocks, certificates and tokens',
  usage: '[-f FILE] [-o table|json]',
  examples: ['zonemesh check', 'zonemesh check --context prod', 'zonemesh check -o json'],
  arity: { min: 0, max: 0 },
  options: {
    output: tableOrJson,
    ...sceneOptions,
    ...clientOptions,
  },
  async run(values, { print }) {
    const folder = dataFolderOf(values)
    const scene = findRunning(folder)
    const target = targetOf(values)
    const named = values.address === undefined && values.context === undefined && scene
    const client = createClient(named ? { ...values, address: scene.globalAddress } : values)
    const plane = await checkPlane({ client, isExpected: client.address !== defaultAddress }, Date.now)
    const { hostname } = new URL(client.address)
    const runs = { scene: scene !== undefined, plane: plane.answered && isLoopback(hostname.replace(/^\[|\]$/g, '')) }
    const token = target.token ?? (target.tokenFile === undefined ? undefined : readText(target.tokenFile).trim())
    const findings = [
      ...judgeMachine(await readMachine(folder, process.env)),
      ...(await checkPorts({ file: values.file, folder }, runs)),
      ...plane.findings,
      ...tokenFindings(token, Date.now()),
    ]
    if (values.output === 'json') print(jsonText(findings))
    else for (const line of findingLines(findings)) print(line)
    return findings.some(({ state }) => state === 'failed') ? 1 : 0
  },
})

const shownStates: Readonly<Record<Finding['state'], readonly [string, Colour]>> = {
  ok: ['ok', 'green'],
  warning: ['warning', 'yellow'],
  failed: ['FAILED', 'red'],
}

function findingLines(findings: readonly Finding[]): readonly string[] {
  const cells = findings.map(({ check, state, found, remedy }) => [
    shownStates[state][0],
    check,
    remedy === undefined ? found : `${found}; ${remedy}`,
  ])
  return columns(cells).map((line, index) => painted(line, shownStates[findings[index]?.state ?? 'ok'][1]))
}
