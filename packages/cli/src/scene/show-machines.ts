import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { isLoopback } from '@zonemesh/plane/api/identity.ts'
import { type Client, createClient, UnreachableError } from '../base/client.ts'
import type { Context } from '../base/command.ts'
import { machineAddresses } from '../base/join-string.ts'
import { type TargetValues, targetOf } from '../base/target.ts'
import { globalCommands, inUrl, type Machine, type MachineFile, planMachines, readHosts } from './machines.ts'
import { readSceneFile } from './scene-file.ts'

interface MachinesOptions extends TargetValues {
  readonly file: string
  readonly variables: Readonly<Record<string, string>>
  readonly on: readonly string[]
  readonly outputDir: string | undefined
}

/**
 * Prints what to run on each machine of a scene, with join strings and tokens in it, or writes it as a folder for each
 * machine. If the global does not run yet, prints how to start it. Throws a CommandError.
 */
export async function showMachines(options: MachinesOptions, { print, note }: Context): Promise<void> {
  const scene = readSceneFile(options.file, options.variables)
  const hosts = readHosts(options.on, scene)
  const host = hosts.get('global') ?? ''
  const global = globalClient(options, host)
  if (!(await answers(global))) {
    note(`the global does not run yet at ${global.address}; on ${host} run these, and then this command again`)
    print(`# On ${host}: global`)
    for (const line of globalCommands) print(line)
    return
  }
  const { machines, try: tries } = await planMachines(scene, hosts, global, note)
  note('what follows holds tokens; whoever has it can join the mesh')
  if (options.outputDir === undefined) for (const machine of machines) print(`${blockOf(machine)}\n`)
  else writeMachines(machines, options.outputDir, print)
  print('# When all machines are done, wherever the global is reached:')
  for (const line of ['zonemesh status --wait', ...tries]) print(line)
}

/** Without another choice, the global of the scene: by the loopback address on its machine, so that its key is found. */
function globalClient(options: TargetValues, host: string): Client {
  const { chosenBy } = targetOf(options)
  if (chosenBy === undefined || chosenBy.startsWith('context ')) return createClient(options)
  const isHere = isLoopback(host) || host === hostname() || machineAddresses().includes(host)
  return createClient({ ...options, address: `http://${isHere ? 'localhost' : inUrl(host)}:5681` })
}

async function answers(global: Client): Promise<boolean> {
  try {
    await global.call('GET', '/')
    return true
  } catch (thrown) {
    if (thrown instanceof UnreachableError) return false
    throw thrown
  }
}

const headOf = ({ host, roles }: Machine): string => `# On ${host}: ${roles.join(', ')}`

/** Commands to paste into a shell: they write the files, which only their owner can read, and start everything. */
const blockOf = (machine: Machine): string =>
  [headOf(machine), '(', 'umask 077', ...machine.files.flatMap(writing), ')', ...machine.commands].join('\n')

function writing({ name, content }: MachineFile): readonly string[] {
  let end = 'END_OF_FILE'
  while (content.split('\n').includes(end)) end += '_'
  const folder = dirname(name)
  return [...(folder === '.' ? [] : [`mkdir -p ${folder}`]), `cat > ${name} <<'${end}'`, content.trimEnd(), end]
}

function writeMachines(machines: readonly Machine[], folder: string, print: (line: string) => void): void {
  for (const machine of machines) {
    const own = join(folder, machine.host)
    const script = ['#!/bin/sh', headOf(machine), 'set -e', 'cd "$(dirname "$0")"', ...machine.commands, ''].join('\n')
    for (const { name, content } of [...machine.files, { name: 'start.sh', content: script }]) {
      const path = join(own, name)
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
      writeFileSync(path, content, { mode: 0o600 })
      chmodSync(path, name === 'start.sh' ? 0o700 : 0o600)
    }
    print(`wrote ${own}: ${[...machine.files.map(({ name }) => name), 'start.sh'].join(', ')}`)
  }
  print('# Copy each folder to its machine and start it, in this order:')
  for (const { host } of machines)
    print(
      `scp -r ${join(folder, host)} ${host.includes(':') ? `[${host}]` : host}:zonemesh && ssh ${host} sh zonemesh/start.sh`,
    )
}
