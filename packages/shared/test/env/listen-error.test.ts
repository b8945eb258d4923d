import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test } from 'vitest'
import { holderOf, listenError } from '../../src/env/listen-error.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

/** Starts a process that holds a port, and returns the port. */
async function hold(code: string): Promise<{ readonly port: number; readonly pid: number | undefined }> {
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [output]: Buffer[] = await once(child.stdout, 'data')
  return { port: Number(output), pid: child.pid }
}

const tcp = (host: string) =>
  `const s = require('net').createServer().listen(0, '${host}', () => console.log(s.address().port))`
const udp = (host: string) =>
  `const s = require('dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}').bind(0, '${host}', () => console.log(s.address().port))`

test.skipIf(process.platform !== 'linux')('E51 the process that holds a port is found for TCP and UDP', async () => {
  for (const [code, protocol] of [
    ...([
      [tcp('127.0.0.1'), 'tcp'],
      [tcp('0.0.0.0'), 'tcp'],
    ] as const),
    ...([
      [udp('127.0.0.1'), 'udp'],
      [udp('0.0.0.0'), 'udp'],
    ] as const),
  ] as const) {
    const { port, pid } = await hold(code)
    expect(holderOf(port, protocol)).toEqual({ pid, name: 'node' })
    expect(holderOf(port, protocol === 'tcp' ? 'udp' : 'tcp')).toBeUndefined()
  }
})

test('E51 a listener that cannot be opened is reported with its option and what to do', () => {
  const place = { what: 'the HTTP API', host: '::', port: 80, option: '--api-tls-port' }
  const text = (code: string, more = {}) =>
    listenError(Object.assign(new Error(`listen ${code}`), { code, syscall: 'listen' }), { ...place, ...more }).message
  const at = 'cannot listen on [::]:80 for the HTTP API: '
  const choose = 'choose another with --api-tls-port N (ZONEMESH_API_TLS_PORT)'
  // No process holds port 0, as if /proc could not be read.
  expect(text('EADDRINUSE', { port: 0 })).toBe(
    `cannot listen on [::]:0 for the HTTP API: the port is in use by another process; ${choose}`,
  )
  expect(text('EACCES')).toBe(`${at}this user may not open port 80; ${choose}`)
  expect(text('EADDRNOTAVAIL')).toBe(`${at}this machine has no such address; choose one of its addresses with --host`)
  expect(text('EADDRNOTAVAIL', { host: '192.0.2.1', hostOption: '--dns-host' })).toMatch(
    /192\.0\.2\.1:80 .*--dns-host$/,
  )
  expect(text('EOTHER')).toBe(`${at}listen EOTHER`)
})
