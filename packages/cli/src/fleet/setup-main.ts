// The second step of the fleet in compose: setup-main.ts FOLDER POLICIES, when a global answers. It writes the policies, the join
// string of each zone and proxy, and the token of the user. All in one process, because each start of Node costs as much as
// everything here. A later start finds the token, and changes nothing. With the host of a relay as third word (compose.chaos.yml)
// zones join through it, and it gets the files that `zonemesh chaos` needs.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Outcome } from '@zonemesh/plane/api/answers.ts'
import { fingerprint } from '@zonemesh/plane/authority/x509.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { createClient } from '../base/client.ts'
import { CommandError } from '../base/command.ts'
import { untilAnswer } from '../base/http.ts'
import { sendCommit } from '../files/commit.ts'
import { readDocuments } from '../files/documents.ts'
import { planes, proxies, zones } from './members.ts'
import { fleetStack, lineOf } from './stack.ts'

const [folder = '', policies = '', relay] = process.argv.slice(2)
const readyMs = 60_000
const client = createClient({
  address: 'http://global:5681',
  adminKeyFile: join(folder, 'global-1/admin.key'),
  ...{ context: undefined, token: undefined, tokenFile: undefined, caCertFile: undefined },
})

if (!existsSync(join(folder, 'user/token'))) {
  // A balancer may send a request to a global that has just started and is not ready yet. Everything here may be done twice.
  const outcomes = await untilAnswer('the globals take the settings of the fleet', readyMs, setUp, () => true, String)
  for (const { type, name, outcome, detail = '' } of outcomes) console.log(`${type} ${name}: ${outcome} ${detail}`)
  if (outcomes.some(isRefused)) throw new CommandError('a policy of the fleet was refused')
}
// Kept connections must not keep the process.
process.exit()

function isRefused({ outcome }: Outcome): boolean {
  return outcome === 'refused'
}

/** Writes everything, or throws if a global does not answer. */
async function setUp(): Promise<readonly Outcome[]> {
  const outcomes = await writePolicies()
  if (outcomes.some(isRefused)) return outcomes
  await writeJoins()
  if (relay !== undefined) await writeStackFile()
  write('user/token', await token('user', { name: 'fleet', groups: ['mesh-system:admin'], validFor: '8760h' }))
  return outcomes
}

async function writePolicies(): Promise<readonly Outcome[]> {
  const found = await readDocuments([policies], {})
  const documents = [
    ...zones.map(({ name }) => ({ type: 'Zone', name, enabled: true })),
    ...found.map(({ content }) => content),
  ]
  return (await sendCommit(client, { documents, atomic: true, intent: 'set up the fleet' })).outcomes
}

async function writeJoins(): Promise<void> {
  for (const { name: zone, replicas } of zones) {
    const own = await token('zone', { zone, scope: ['cp'] })
    const text = relay ? await joinString('global', lineOf(zone), own, relay) : await joinString('global', 5685, own)
    for (const replica of replicas) write(`${replica}/zone.join`, text)
  }
  for (const { name, zone, scope } of proxies) {
    const own =
      scope === 'dataplane'
        ? await token('dataplane', { mesh: 'default', name, type: 'dataplane' })
        : await token('zone', { zone, scope: [scope] })
    write(`${name}/proxy.join`, await joinString(zone, 5678, own))
  }
}

/** The token of the relay, and the stack file of `zonemesh chaos`. */
async function writeStackFile(): Promise<void> {
  mkdirSync(join(folder, 'relay'), { recursive: true, mode: 0o750 })
  const own = randomBytes(24).toString('base64url')
  const user = await token('user', { name: 'chaos', groups: ['mesh-system:admin'], validFor: '8760h' })
  write('relay/relay.token', own)
  write('relay/stack.json', JSON.stringify(fleetStack({ user, relay: own })))
}

async function token(purpose: 'zone' | 'dataplane' | 'user', claims: object): Promise<string> {
  return (await client.need('POST', `/tokens/${purpose}`, claims)).text.trim()
}

/** The join string of a plane. It has the addresses of its replicas, or that of the balancer in front of the globals. */
async function joinString(name: string, port: number, own: string, relayHost?: string): Promise<string> {
  const replicas = planes.find((plane) => plane.name === name)?.replicas ?? []
  const hosts = name === 'global' ? [relayHost ?? name] : replicas
  const [address = '', ...otherAddresses] = hosts.map((host) => `https://${host}:${port}`)
  const pin = await fingerprint(readFileSync(join(folder, replicas[0] ?? '', 'ca.crt'), 'utf8'))
  return encodeJoin({ address, otherAddresses, token: own, pin })
}

function write(name: string, text: string): void {
  const path = join(folder, name)
  writeFileSync(`${path}.draft`, `${text}\n`, { mode: 0o640 })
  renameSync(`${path}.draft`, path)
}
