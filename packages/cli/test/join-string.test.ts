import type { NetworkInterfaceInfo } from 'node:os'
import { startGlobal } from '@zonemesh/global/global.ts'
import { globalOptions } from '@zonemesh/global/options.ts'
import { readOptions } from '@zonemesh/plane/config/options.ts'
import { addressesOf, decodeJoin } from '@zonemesh/shared/auth/join.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { silentLog } from '@zonemesh/shared/env/log.ts'
import { systemRandom } from '@zonemesh/shared/env/random.ts'
import { expect, test } from 'vitest'
import { hostsOf, joinUrl, machineAddresses } from '../src/base/join-string.ts'
import { tokenZone } from '../src/commands/token.ts'

const machine = ['10.0.0.5', 'fd00::5']
const here = 'this string works on this machine only: '

test('B19 a join string holds the addresses under which others reach the plane, and a remark says if there are none', () => {
  const hosts = (host: string, boundTo: string | undefined, own: readonly string[] = machine) =>
    hostsOf(host, boundTo, 'global', own)
  expect(hosts('global.example', '0.0.0.0')).toEqual({ hosts: ['global.example'], remark: undefined })
  for (const boundTo of ['0.0.0.0', '::', '10.0.0.5'])
    expect(hosts('localhost', boundTo)).toEqual({ hosts: ['10.0.0.5', '[fd00::5]', 'localhost'], remark: undefined })
  expect(hosts('[::1]', '0.0.0.0').hosts.at(-1)).toBe('[::1]')
  expect(hosts('127.0.0.1', '127.0.0.1')).toEqual({
    hosts: ['127.0.0.1'],
    remark: `${here}the global listens on 127.0.0.1; start it with --host 0.0.0.0 (or give --join-address)`,
  })
  expect(hosts('localhost', '0.0.0.0', []).remark).toBe(`${here}this machine has no other address; give --join-address`)
  expect(hosts('localhost', undefined)).toEqual({
    hosts: ['localhost'],
    remark: `${here}localhost is a loopback address; give --join-address`,
  })
})

test('B19 the addresses of a machine are those of its interfaces that others can reach, IPv4 first', () => {
  const one = (address: string, family: 'IPv4' | 'IPv6', internal = false) =>
    ({ address, family, internal }) as NetworkInterfaceInfo // the other fields are not read
  expect(
    machineAddresses({
      lo: [one('127.0.0.1', 'IPv4', true), one('::1', 'IPv6', true)],
      eth0: [one('fe80::1', 'IPv6'), one('fd00::5', 'IPv6'), one('10.0.0.5', 'IPv4')],
      eth1: [one('10.0.0.5', 'IPv4'), one('192.0.2.7', 'IPv4')],
    }),
  ).toEqual(['10.0.0.5', '192.0.2.7', 'fd00::5'])
})

test('B19 an address of --join-address is completed, and a wrong one is refused with what is expected', () => {
  expect(joinUrl('sync', 'a:1')).toBe('https://a:1')
  expect(joinUrl('sync', '[fd00::5]:1')).toBe('https://[fd00::5]:1')
  expect(joinUrl('sync', 'wss://a')).toBe('wss://a')
  expect(joinUrl('websocket', 'a:1')).toBe('wss://a:1')
  expect(joinUrl('proxies', 'https://a')).toBe('https://a')
  for (const bad of ['a', 'a:b', 'https://a/path', 'a:1:2', ':1', 'a b:1'])
    expect(() => joinUrl('sync', bad)).toThrow(`--join-address: expected HOST:PORT, found "${bad}"`)
})

/** Runs `token zone` against a global with this host. */
async function tokenFor(host: string, ...args: readonly string[]) {
  const ports = ['--api-port', '0', '--api-tls-port', '0', '--health-port', '0', '--sync-port', '0']
  const config = readOptions(globalOptions, ['--host', host, '--localhost-is-admin', ...ports], {})
  if (!config.ok) throw new Error(config.error.message)
  const env = { clock: systemClock, random: systemRandom, log: silentLog }
  const global = await startGlobal(env, config.value.values, globalOptions)
  const read = readOptions(tokenZone.options, ['--address', `http://127.0.0.1:${global.apiPort}`, ...args], {})
  if (!read.ok) throw new Error(read.error.message)
  const [printed, notes]: [string[], string[]] = [[], []]
  await tokenZone.run(read.value.values, {
    ...{ positionals: ['east'], signal: new AbortController().signal },
    ...{ print: (line: string) => void printed.push(line), note: (line: string) => void notes.push(line) },
  })
  await global.close()
  const join = decodeJoin(printed.join(''))
  return {
    notes,
    syncPort: global.syncPort,
    tlsPort: global.apiTlsPort,
    addresses: join.ok ? addressesOf(join.value) : [],
  }
}

test('B19 token zone prints the addresses that the string holds', async () => {
  const open = await tokenFor('0.0.0.0')
  const own = machineAddresses().map((address) => (address.includes(':') ? `[${address}]` : address))
  const expected = [...own, '127.0.0.1'].map((host) => `https://${host}:${open.syncPort}`)
  expect(open.addresses).toEqual(expected)
  expect(open.notes[0]).toBe(`the join string holds ${own.length > 0 ? 'the addresses ' : ''}${expected.join(', ')}`)

  const webSocket = await tokenFor('0.0.0.0', '--websocket')
  expect(webSocket.addresses.at(-1)).toBe(`wss://127.0.0.1:${webSocket.tlsPort}`)

  const closed = await tokenFor('127.0.0.1')
  const local = `https://127.0.0.1:${closed.syncPort}`
  expect(closed.addresses).toEqual([local])
  expect(closed.notes).toEqual([
    `the join string holds ${local}`,
    `${here}the global listens on 127.0.0.1; start it with --host 0.0.0.0 (or give --join-address)`,
  ])

  const given = await tokenFor('127.0.0.1', '--join-address', 'a.example:1', '--join-address', 'wss://b.example')
  expect(given.addresses).toEqual(['https://a.example:1', 'wss://b.example'])
  expect(given.notes).toEqual(['the join string holds the addresses https://a.example:1, wss://b.example'])
  expect((await tokenFor('127.0.0.1', '--join-address', 'localhost:1')).notes[1]).toBe(
    `${here}localhost:1 is a loopback address`,
  )
})
