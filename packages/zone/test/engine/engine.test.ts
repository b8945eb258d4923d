import { typeUrls } from '@zonemesh/core/emit/table.ts'
import { keyText, type ResourceKey } from '@zonemesh/shared/resource/resource.ts'
import type { Store, Version } from '@zonemesh/shared/store/store.ts'
import { expect, test } from 'vitest'
import { global, own } from '../quarantine/life.ts'
import { edge, gatewayProxy, route, routeKey, scene, selectors, withoutHints, world } from './scene.ts'

test('Z34 a proxy gets a table when a mark changes it, with the next number, and no table otherwise', async () => {
  const { engine, put, settle, open, progress } = scene()
  const first = await put(...world)
  await settle()
  const { table, mark, routes } = open(edge)
  expect([mark(), engine.serial(), routes(), engine.mark.value]).toEqual([1, 1, ['good'], first])
  expect(progress.read().mark).toBe(first - 1)
  progress.served(keyText(edge), 1)
  expect(progress.servedBy(keyText(edge))).toBe(first)
  const secrets = table.value?.resources.get(typeUrls.secret)
  expect(secrets).toEqual(new Map())
  const second = await put([global('Mesh', 'other', ''), {}])
  await settle()
  engine.refresh()
  expect([mark(), engine.serial(), progress.servedBy(keyText(edge))]).toEqual([1, 1, second])
  const third = await put([routeKey('more'), route('/more')])
  await settle()
  expect([mark(), engine.serial(), routes(), progress.read().mark]).toEqual([2, 2, ['good', 'more'], third - 1])
  expect(table.value?.resources.get(typeUrls.secret)).toBe(secrets)
})

test('Z34 a proxy that connects before its row exists gets a table with its row, and one without a stream gets none', async () => {
  const { engine, put, settle, open } = scene()
  const early = open(edge)
  expect([early.mark(), engine.serial()]).toEqual([undefined, 0])
  await put(...world, [own('Dataplane', 'edge-2'), gatewayProxy('10.0.0.2')])
  await settle()
  expect([early.mark(), engine.serial(), engine.live()]).toEqual([1, 1, [keyText(edge)]])
})

test('Z34 a stream that closes ends the tables of its proxy, but not those of a newer stream', async () => {
  const { engine, put, settle, open, progress } = scene()
  await put(...world)
  await settle()
  const former = open(edge)
  const newer = open(edge)
  progress.served(keyText(edge), 2)
  former.close()
  expect([engine.live(), progress.servedBy(keyText(edge)) > 0]).toEqual([[keyText(edge)], true])
  await put([routeKey('more'), route('/more')])
  await settle()
  expect([former.mark(), newer.mark()]).toEqual([1, 3])
  newer.close()
  expect([engine.live(), progress.servedBy(keyText(edge))]).toEqual([[], 0])
  await put([routeKey('last'), route('/last')])
  await settle()
  expect([newer.mark(), engine.serial()]).toEqual([3, 3])
})

test('Z34 a zone publishes no table before the first round of its global, and then one to every proxy', async () => {
  const completes = ({ kind }: ResourceKey) => kind === 'Zone'
  const { engine, put, forget, settle, open, namesChanged } = scene({ startsComplete: false, completes })
  const proxy = open(edge)
  await put(...world, [own('VirtualAddress', 'echo'), { number: 3 }])
  await settle()
  engine.refresh()
  expect([engine.isComplete(), proxy.mark()]).toEqual([false, undefined])
  namesChanged.length = 0
  await put([global('Zone', 'east', ''), { enabled: true }])
  await settle()
  expect([engine.isComplete(), proxy.mark(), namesChanged]).toEqual([true, 1, [['default']]])
  // Later rounds are ordinary changes.
  await put([global('Zone', 'east', ''), { enabled: false }])
  await settle()
  await forget(global('Zone', 'east', ''))
  await settle()
  expect([engine.isComplete(), namesChanged.length]).toEqual([true, 1])
})

test('Z34 the deletion of a row of the global is no first round', async () => {
  const completes = ({ kind }: ResourceKey) => kind === 'Zone'
  const { engine, put, forget, settle } = scene({ startsComplete: false, completes, read: withoutHints })
  await put(...world)
  await settle()
  await put([global('Zone', 'east', ''), {}])
  await forget(global('Zone', 'east', ''))
  await settle()
  expect(engine.isComplete()).toBe(false)
})

test('Z24 the names of a mesh change only with its addresses, and an address that cannot be parsed has no name', async () => {
  const { put, settle, names, namesChanged } = scene()
  const address = own('VirtualAddress', 'echo')
  await put(...world)
  await settle()
  expect(namesChanged).toEqual([])
  await put([address, { number: 3 }])
  await settle()
  expect([namesChanged, names.forMesh('default').size]).toEqual([[['default']], 1])
  await put([address, { number: 'four' }])
  await settle()
  expect([namesChanged.length, names.forMesh('default').size]).toEqual([2, 0])
})

test('Z20 a row that crashes the compiler is kept for the quarantine, and the table of the proxy is compiled without it', async () => {
  const poison = routeKey('poison')
  const { engine, put, settle, open, kept, namesChanged } = scene({ poisonous: [keyText(poison)] })
  await put(...world)
  await settle()
  const proxy = open(edge)
  await put([poison, route('/poison')], [routeKey('more'), route('/more')])
  await settle()
  expect(kept.map(({ row }) => keyText(row.key))).toEqual([keyText(poison)])
  expect(proxy.routes()).toEqual(['good', 'more'])
  expect([engine.serial(), namesChanged]).toEqual([2, []])
})

test('Z24 a name whose address crashes the compiler is removed at once', async () => {
  const address = own('VirtualAddress', 'echo')
  const client = own('Dataplane', 'client')
  const inbound = [{ port: 80, tags: { 'kuma.io/service': 'client' } }]
  const { engine, put, settle, names, namesChanged } = scene({ poisonous: [keyText(address)] })
  await put(...world, [client, { networking: { address: '10.0.0.2', inbound } }], [address, { number: 3 }])
  await settle()
  expect([namesChanged, names.forMesh('default').size]).toEqual([[['default']], 1])
  engine.open(keyText(client), { part: 1, canBindPort80: true })
  expect([namesChanged, names.forMesh('default').size]).toEqual([[['default'], ['default']], 0])
})

test('Z20 a row that crashes the compiler for one proxy is left out of the tables of all proxies', async () => {
  const poisonous: string[] = []
  const shared = routeKey('shared')
  const { put, settle, open } = scene({ poisonous })
  await put(
    ...world,
    [shared, { ...route('/shared'), selectors: [{ match: { 'kuma.io/service': '*' } }] }],
    [
      global('MeshGateway', 'other'),
      { selectors: [{ match: { 'kuma.io/service': 'other' } }], conf: { listeners: [{ port: 81, protocol: 'HTTP' }] } },
    ],
    [own('Dataplane', 'other-1'), gatewayProxy('10.0.0.2', 'other')],
  )
  await settle()
  const first = open(edge)
  expect(first.routes()).toEqual(['good', 'shared'])
  poisonous.push(keyText(shared))
  const second = open(own('Dataplane', 'other-1'))
  expect([first.routes(), second.routes()]).toEqual([['good'], []])
})

test('Z29 a table waits for all its secrets and has them by name', async () => {
  let version: string | undefined
  const name = 'cert.rsa:secret:shop'
  const certificate = () => (version === undefined ? undefined : { name, version, bytes: new Uint8Array() })
  const { engine, put, settle, open } = scene({ certificate })
  const tls = { mode: 'TERMINATE', certificates: [{ secret: 'shop' }] }
  const conf = { listeners: [{ port: 443, protocol: 'HTTPS', hostname: 'shop.example.com', tls }] }
  await put(
    ...world,
    [global('MeshGateway', 'edge'), { selectors, conf }],
    [
      global('GatewayCertificate', 'shop.east'),
      { secret: 'shop', zone: 'east', keyType: 'rsa', names: [], notAfterMs: 1, fingerprint: 'f', sealed: 's' },
    ],
  )
  await settle()
  const { mark } = open(edge)
  expect(mark()).toBeUndefined()
  version = 'first'
  engine.refresh()
  expect([mark(), engine.resourceOf(keyText(edge), typeUrls.secret, name)?.version]).toEqual([1, 'first'])
  expect(engine.needsOf(keyText(edge)).map((need) => need.name)).toEqual([name])
})

test('C2 the list of parts that tables lack follows each table', async () => {
  const { engine, put, settle, open } = scene()
  await put(...world)
  await settle()
  open(edge)
  expect([engine.leftOut(), engine.problemsOf(keyText(edge))]).toEqual([[], []])
  const crossMesh = { port: 81, protocol: 'HTTP', hostname: 'a.example', crossMesh: true }
  const listeners = [{ port: 80, protocol: 'HTTP' }, crossMesh]
  await put([global('MeshGateway', 'edge'), { selectors, conf: { listeners } }])
  await settle()
  const source = keyText(global('MeshGateway', 'edge'))
  expect([engine.leftOut().map((one) => one.source), engine.problemsOf(keyText(edge)).length]).toEqual([[source], 1])
})

test('Z29 a proxy whose secret fails keeps its table, and all others get theirs', async () => {
  const certificate = (): never => {
    throw new Error('the key is damaged')
  }
  const { put, settle, open, logged, measured } = scene({ certificate })
  const conf = {
    listeners: [{ port: 443, protocol: 'HTTPS', tls: { mode: 'TERMINATE', certificates: [{ secret: 'shop' }] } }],
  }
  const shop = own('Dataplane', 'shop-1')
  await put(
    ...world,
    [global('MeshGateway', 'shop'), { selectors: [{ match: { 'kuma.io/service': 'shop' } }], conf }],
    [
      global('GatewayCertificate', 'shop.east'),
      { secret: 'shop', zone: 'east', keyType: 'rsa', names: [], notAfterMs: 1, fingerprint: 'f', sealed: 's' },
    ],
    [shop, gatewayProxy('10.0.0.2', 'shop')],
  )
  const [failing, good] = [open(shop), open(edge)]
  await settle()
  expect([failing.mark(), good.mark()]).toEqual([undefined, 1])
  expect(logged).toEqual(['cannot compile the table of a proxy: the key is damaged'])
  expect(measured).toContain('failed')
})

const keysIn = (versions: readonly Version[] | undefined) =>
  versions?.map(({ key, state }) => `${key.kind} ${key.name} ${state}`)

test('Z35 a zone first reads the live rows, then the changes, and the whole state again if the changes are pruned', async () => {
  const { engine, put, forget, settle, open, marked } = scene({ horizonRevisions: 8, read: withoutHints })
  await put(...world, [routeKey('old'), route('/old')], [routeKey('older'), route('/older')])
  await put([own('VirtualAddress', 'a'), { number: 1 }])
  await forget(routeKey('older'))
  await settle()
  const proxy = open(edge)
  expect(proxy.routes()).toEqual(['good', 'old'])
  expect(marked[0]?.map(({ state }) => state)).toEqual(Array(6).fill('live'))
  await forget(routeKey('old'))
  await settle()
  expect([proxy.routes(), keysIn(marked[1])]).toEqual([['good'], ['MeshGatewayRoute old forgotten']])
  await put([routeKey('new'), route('/new')])
  await forget(routeKey('good'))
  let newest = 0
  for (let count = 0; count < 20; count += 1) newest = await put([own('VirtualAddress', 'a'), { number: count }])
  await settle()
  expect([proxy.routes(), engine.mark.value, marked.length]).toEqual([['new'], newest, 3])
  expect(keysIn(marked[2])?.filter((text) => !text.endsWith('live'))).toEqual(['MeshGatewayRoute good forgotten'])
  expect(marked[2]?.length).toBe(6)
})

test('Z35 a mark that is compiled is not compiled again', async () => {
  const { put, settle, marked } = scene()
  await put(...world)
  await settle()
  await settle()
  expect(marked.length).toBe(1)
})

test('Z35 a read of the store that fails is repeated after one second, and not after the engine is closed', async () => {
  let fails = true
  const read = (store: Store) => ({
    mark: () => (fails ? Promise.reject(new Error('no connection')) : store.mark()),
  })
  const { engine, put, settle, clock, logged, marked, reads } = scene({ read })
  const newest = await put(...world)
  await settle()
  expect(logged).toEqual(Array(logged.length).fill('cannot read the store: no connection'))
  const failed = reads()
  clock.advance(999)
  expect(reads()).toBe(failed)
  fails = false
  clock.advance(1)
  expect(reads()).toBe(failed + 1)
  await settle()
  expect([engine.mark.value, marked.length]).toEqual([newest, 1])
  fails = true
  await settle()
  engine.close()
  const last = reads()
  clock.advance(10_000)
  await put([global('Mesh', 'other', ''), {}])
  expect(reads()).toBe(last)
})

/** Holds the changes back until `release`. */
function createGate() {
  const { promise, resolve: release } = Promise.withResolvers<void>()
  let isClosed = false
  const arrived = Promise.withResolvers<void>()
  return {
    release,
    arrived: arrived.promise,
    close: () => {
      isClosed = true
    },
    read: (store: Store): Partial<Store> => ({
      async changesSince(...given) {
        if (isClosed) arrived.resolve()
        if (isClosed) await promise
        return store.changesSince(...given)
      },
    }),
  }
}

test('Z35 a commit during a read is compiled by the same run', async () => {
  const gate = createGate()
  const { engine, put, settle } = scene({ read: gate.read })
  await put(...world)
  await settle()
  gate.close()
  await put([global('Mesh', 'other', ''), {}])
  const running = engine.start()
  await gate.arrived
  const newest = await put([global('Mesh', 'third', ''), {}])
  gate.release()
  await running
  expect(engine.mark.value).toBe(newest)
})

test('Z35 an engine that is closed during a read compiles nothing more', async () => {
  const gate = createGate()
  const { engine, put, settle, marked, reads } = scene({ read: gate.read })
  const first = await put(...world)
  await settle()
  gate.close()
  await put([global('Mesh', 'other', ''), {}])
  const running = engine.start()
  await gate.arrived
  const before = reads()
  engine.close()
  gate.release()
  await running
  expect([engine.mark.value, marked.length, reads()]).toEqual([first, 1, before])
})

test('MT12 each mark is measured once when it is compiled, and each table when its proxy has answered it', async () => {
  const { clock, progress, put, settle, open, measured } = scene({ read: withoutHints })
  await put(...world)
  await settle()
  await settle()
  expect(measured.splice(0)).toEqual(['compiled in 0'])
  open(edge)
  clock.advance(30)
  await put([routeKey('more'), route('/more')])
  await settle()
  clock.advance(12)
  progress.served(keyText(edge), 2)
  progress.served(keyText(edge), 2)
  expect(measured).toEqual(['compiled in 0', 'table served after 42', 'table served after 12'])
})

test('ZR6 the engine reports when it has compiled a mark, and gives up after a while', async () => {
  const { engine, clock, put, settle } = scene()
  await put([own('Mesh', 'default'), {}])
  await settle()
  const later = engine.reaches(engine.mark.value + 1, 5_000)
  await put([own('Mesh', 'other'), {}])
  expect(await later).toBe(true)
  expect(await engine.reaches(engine.mark.value, 0)).toBe(true)
  const never = engine.reaches(engine.mark.value + 1, 5_000)
  clock.advance(5_000)
  expect(await never).toBe(false)
})
