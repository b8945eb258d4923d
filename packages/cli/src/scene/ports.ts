import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { writeAtomic } from '@zonemesh/dataplane/files.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { z } from 'zod'
import { CommandError } from '../base/command.ts'

/** Binds a port of this machine; undefined if it is in use. The server does not keep the process alive. */
const hold = (port: number): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.unref()
    server.once('error', () => resolve(undefined))
    server.listen({ port, host: '0.0.0.0', exclusive: true }, () => resolve(server))
  })

async function isFree(port: number): Promise<boolean> {
  const server = await hold(port)
  if (!server) return false
  await new Promise((resolve) => server.close(resolve))
  return true
}

const blockSize = 64
const blocks = 280

/**
 * Free ports below the range that the system uses for outgoing connections. They come from a block whose first port
 * this process holds until it exits, so that two demos that start at the same time never use the same ports.
 */
export async function freePorts(random: Random, count: number): Promise<number[]> {
  if (count >= blockSize) throw new Error(`expected fewer than ${blockSize} ports, found ${count}`)
  for (;;) {
    const first = 12_000 + Math.floor(random.fraction() * blocks) * blockSize
    const lock = await hold(first)
    if (!lock) continue
    const ports: number[] = []
    for (let port = first + 1; port < first + blockSize && ports.length < count; port += 1) {
      if (await isFree(port)) ports.push(port)
    }
    if (ports.length === count) return ports
    lock.close()
  }
}

/** Hands out ports of a block of this machine by name; without a name, the next one. */
export async function blockPorts(random: Random, count: number): Promise<(name?: string) => number> {
  const free = await freePorts(random, count)
  const known = new Map<string, number>()
  return (name) => {
    const port = (name === undefined ? undefined : known.get(name)) ?? free.pop()
    if (port === undefined) throw new Error(`invariant broken: more than ${count} ports are taken`)
    if (name !== undefined) known.set(name, port)
    return port
  }
}

/** The ports of the planes of a scene, with the numbers that are tried first. */
export function planePorts(zones: readonly string[]): ReadonlyMap<string, number> {
  const ports = new Map([
    ['global.api', 5681],
    ['global.api-tls', 5682],
    ['global.health', 5680],
    ['global.sync', 5685],
  ])
  zones.forEach((zone, index) => {
    const base = 10 * (index + 1)
    for (const [what, port] of Object.entries({ api: 5681, 'api-tls': 5682, health: 5680, proxies: 5678, dns: 5653 }))
      ports.set(`${zone}.${what}`, port + base)
  })
  return ports
}

const keptSchema = z.record(z.string(), z.number().int().min(1).max(65_535))

/**
 * The ports of a scene, by name. A port is chosen once: the wanted number, or the next one that is free. It is kept in
 * the file, so that the scene has the same addresses at each start.
 */
export async function keptPorts(
  file: string,
  wanted: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const kept = readKept(file)
  const ports = new Map<string, number>()
  const taken = new Set(kept.values())
  for (const [name, first] of wanted) {
    const known = kept.get(name)
    const port = known ?? (await nextFree(first, taken))
    taken.add(port)
    ports.set(name, port)
  }
  await writeAtomic(file, `${JSON.stringify(Object.fromEntries(ports), null, 2)}\n`)
  return ports
}

async function nextFree(first: number, taken: ReadonlySet<number>): Promise<number> {
  for (let port = first; port <= 65_535; port += 1) if (!taken.has(port) && (await isFree(port))) return port
  throw new CommandError(`no port from ${first} to 65535 is free`)
}

/** The ports that a scene has chosen at an earlier start, by name. Throws a CommandError if the file is damaged. */
export function readKept(file: string): ReadonlyMap<string, number> {
  if (!existsSync(file)) return new Map()
  try {
    return new Map(Object.entries(keptSchema.parse(JSON.parse(readFileSync(file, 'utf8')))))
  } catch {
    throw new CommandError(
      `${file}: expected ports by name, as \`zonemesh up\` writes them; remove the file to choose ports again`,
    )
  }
}
