import { statSync } from 'node:fs'
import { basename } from 'node:path'
import { clientOptions, createClient, readText } from '../base/client.ts'
import { defineCommand } from '../base/command.ts'
import { readContexts } from '../base/contexts.ts'
import { dataFolderOf, findRunning, sceneOptions } from '../base/running-scene.ts'
import { targetOf } from '../base/target.ts'
import { writeArchive } from '../sysdump/archive.ts'
import { collect } from '../sysdump/collect.ts'
import { createRedaction, secretsBelow } from '../sysdump/redact.ts'

export const sysdump = defineCommand({
  name: 'sysdump',
  summary: 'write one archive for a bug report: versions, status, settings, resources and logs, without secrets',
  usage: '[FILE.tar.gz]',
  examples: ['zonemesh sysdump', 'zonemesh sysdump /tmp/report.tar.gz --address http://localhost:5681'],
  arity: { min: 0, max: 1 },
  options: { ...sceneOptions, ...clientOptions },
  async run(values, { positionals, print, note }) {
    const folder = dataFolderOf(values)
    const scene = findRunning(folder)
    const target = targetOf(values)
    const { token, tokenFile, adminKeyFile } = target
    const zones = scene?.globalAddress === target.address ? Object.entries(scene.zones) : []
    const planes = [
      ['plane', createClient(values)] as const,
      ...zones.map(([zone, address]) => [`zone-${zone}`, createClient({ ...target, address })] as const),
    ]
    const known = [
      ...secretsBelow(folder),
      ...[tokenFile, adminKeyFile].flatMap((file) => (file === undefined ? [] : [readText(file).trim()])),
      ...[token, ...storedTokens(), process.env['ZONEMESH_JOIN']].flatMap((one) => one ?? []),
    ]
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
    const [file = `zonemesh-sysdump-${time}.tar.gz`] = positionals
    const inside = basename(file).replace(/\.(tar\.gz|tgz)$/, '')
    const files = await collect({ planes, folder, environment: process.env }, createRedaction(known))
    await writeArchive(file, inside, files)
    for (const { name, content } of files) print(`${name} ${Buffer.byteLength(content)} bytes`)
    note(
      `written to ${file} (${statSync(file).size} bytes); tokens, keys and secrets are left out, look into it before you send it`,
    )
    return 0
  },
})

const storedTokens = (): readonly (string | undefined)[] => {
  try {
    return Object.values(readContexts().contexts).map(({ token }) => token)
  } catch {
    // A damaged file of contexts is no reason to write no report.
    return []
  }
}
