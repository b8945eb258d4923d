import { afterEach, beforeEach, expect, test } from 'vitest'
import { get } from '../src/commands/get.ts'
import { type Rig, runCommand, startGlobalRig, timeout } from './command-rig.ts'

let rig: Rig

beforeEach(async () => {
  rig = await startGlobalRig()
})
afterEach(() => rig[Symbol.asyncDispose]())

const write = (...documents: readonly object[]) => rig.client.need('POST', '/_commit', { documents, atomic: true })
const remove = (name: string) => rig.client.need('DELETE', `/meshes/default/timeouts/${name}`)

/** Starts `get --watch`. `next` is its next line. */
function start(...args: string[]) {
  const stop = new AbortController()
  const lines: string[] = []
  let arrived = Promise.withResolvers<void>()
  const ran = runCommand(get, [...args, '--watch', '--address', rig.address], stop.signal, (line) => {
    lines.push(line)
    arrived.resolve()
  })
  const next = async (): Promise<string> => {
    if (lines.length === 0) await Promise.race([arrived.promise, ran])
    arrived = Promise.withResolvers<void>()
    return (lines.shift() ?? 'the command has ended').replace(/ {2,}/g, '|').replace(/\|\d+s$/, '')
  }
  return { next, ran, stop: () => stop.abort() }
}

test('B53 get --watch shows the list, then each change when it happens, until it is stopped', async () => {
  await write(timeout('a'), timeout('other', { mesh: 'default', labels: { team: 'b' } }))
  const { next, ran, stop } = start('timeouts')
  expect(await next()).toBe('EVENT|MESH|NAME|SOURCES|DESTINATIONS|CONF|CHANGED')
  expect(await next()).toBe('present|default|a|*|web|connectTimeout=1s')
  expect(await next()).toBe('present|default|other|*|web|connectTimeout=1s')
  await write(timeout('a', { connect: '9s' }))
  expect(await next()).toBe('changed|default|a|*|web|connectTimeout=9s')
  await write(timeout('b'))
  expect(await next()).toBe('added|default|b|*|web|connectTimeout=1s')
  await remove('a')
  expect(await next()).toBe('deleted|default|a|*|web|connectTimeout=9s')
  stop()
  expect(await ran).toMatchObject({ code: 0, notes: [] })
})

test('B53 get --watch follows the selector: a resource that loses its label is deleted from the view', async () => {
  const { next, stop, ran } = start('timeouts', '-A', '-l', 'team=a', '-o', 'name')
  await write({ type: 'Mesh', name: 'shop' })
  await write(timeout('b', { labels: { team: 'b' } }), timeout('a', { mesh: 'shop', labels: { team: 'a' } }))
  expect(await next()).toMatch(/^(added|present) timeout\/a$/)
  await write(timeout('a', { mesh: 'shop' }))
  expect(await next()).toBe('deleted timeout/a')
  await write(timeout('b', { labels: { team: 'a' } }))
  expect(await next()).toBe('added timeout/b')
  stop()
  await ran
})

test('B53 get --watch ends with the reason if the control plane stops, and explains wrong usage', async () => {
  const { next, ran } = start('timeouts')
  await next()
  const failed = expect(ran).rejects.toThrow(
    /ended the stream of events: the control plane stops; start the command again$/,
  )
  await rig[Symbol.asyncDispose]()
  await failed
  rig = await startGlobalRig()
  await expect(rig.run(get, 'timeout', 'a', '-w')).rejects.toThrow('expected a kind with --watch, found a name')
  await expect(rig.run(get, 'timeouts', '-w', '--mesh', 'none')).rejects.toThrow(/Failed to retrieve Mesh/)
})
