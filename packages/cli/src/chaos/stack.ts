import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '@zonemesh/shared/base/base.ts'
import { z } from 'zod'
import { CommandError } from '../base/command.ts'
import { findDemo } from '../demo/folder.ts'
import { readInContainer } from './containers.ts'
import { part } from './parts.ts'
import { destination, target } from './targets.ts'

/**
 * The addresses and tokens of a running stack, with which another process injects faults and observes it. Written by
 * `zonemesh demo --chaos` and by compose.small.chaos.yml.
 */
export const stackFile = z.object({
  version: z.literal(1),
  folder: z.string(),
  /** The token of an administrator. Because of it and the control's token, only the owner may read the file. */
  token: z.string(),
  /** The control that injects faults into lines and processes; see control.ts. */
  control: z.object({ address: z.string(), token: z.string() }),
  /** The compose project whose services are the planes. Without it, the planes are child processes of the control. */
  compose: z.string().optional(),
  global: z.object({ api: z.string(), storeFile: z.string().optional() }),
  /** The containers of the stack that carry no traffic. Without them, each plane is one process. */
  parts: z.array(part).default([]),
  zones: z.record(z.string(), z.object({ api: z.string(), dns: z.string() })),
  scene: z.object({
    mesh: z.string(),
    /** The service tag of the builtin gateway, and the tag of its listener. */
    gateway: z.string(),
    listener: z.string(),
    hostname: z.string(),
    /** HOST:PORT of the gateway. */
    entrance: z.string(),
    services: z.array(destination),
    /** What faults can stop in addition to planes. A stack file of an earlier version has none. */
    targets: z.array(target).default([]),
  }),
})
export type Stack = z.infer<typeof stackFile>

const fileName = 'stack.json'

export function writeStack(folder: string, stack: Stack): string {
  const path = join(folder, fileName)
  writeFileSync(path, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 })
  return path
}

/** The location of the stack file in a compose project with relays; see compose.small.chaos.yml. */
const composePlace = { service: 'relay', path: '/secrets/stack.json' }

/** Reads a stack file: the given one, that of a compose project, or that of this user's newest demo. */
export async function findStack(given: {
  readonly stack: string | undefined
  readonly compose: string | undefined
}): Promise<Stack> {
  if (given.stack !== undefined && given.compose !== undefined)
    throw new CommandError('--stack and --compose: expected one of them, found both', 2)
  if (given.compose !== undefined) {
    const { service, path } = composePlace
    return readStack(
      await readInContainer(given.compose, service, path),
      `${path} of the compose project ${given.compose}`,
    )
  }
  const path = given.stack ?? newestDemo()
  if (path === undefined)
    throw new CommandError(
      'no running stack found: start one with `zonemesh demo --chaos`, or name its file with --stack or its compose project with --compose',
    )
  try {
    return readStack(readFileSync(path, 'utf8'), path)
  } catch (thrown) {
    if (thrown instanceof CommandError) throw thrown
    throw new CommandError(`cannot read the stack file ${path}: ${messageOf(thrown)}`)
  }
}

function readStack(text: string, path: string): Stack {
  const given = parse(text)
  const read = stackFile.safeParse(given)
  if (read.success) return read.data
  const place = read.error.issues[0]?.path.map(String) ?? []
  if (given === undefined)
    throw new CommandError(`${path}: expected JSON of \`zonemesh demo --chaos\`, found other text`)
  const found = place.reduce<unknown>((value, key) => Reflect.get(Object(value), key), given)
  throw new CommandError(
    place[0] === 'version'
      ? `${path}: version: expected 1, found ${wordFor(found)}: use the zonemesh that has started the stack`
      : `${path}${place.length === 0 ? '' : `: ${place.join('.')}`}: expected what \`zonemesh demo --chaos\` writes there, found ${wordFor(found)}`,
  )
}

/** A value of a file in words. Texts are not shown, because they may be tokens. */
function wordFor(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'string') return 'a text'
  return value !== null && typeof value === 'object' ? 'an object' : JSON.stringify(value)
}

function newestDemo(): string | undefined {
  const path = join(findDemo()?.folder ?? '', fileName)
  return existsSync(path) ? path : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
