import { execFileSync } from 'node:child_process'
import { download, presentEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { root } from '../e2e/rig.ts'
import { pinnedEnvoyFile } from './rig.ts'

/** Builds all forms of the installation into dist/, and makes sure that the pinned Envoy is in the cache. */
export default async function build(): Promise<void> {
  execFileSync('npm', ['run', '--silent', 'package'], { cwd: root, stdio: 'inherit' })
  const cached = { ...process.env, ZONEMESH_ENVOY: pinnedEnvoyFile }
  const present = await presentEnvoy(cached).catch(() => undefined)
  const progress = (line: string): void => void process.stderr.write(`${line}\n`)
  if (present === undefined) await download({ env: process.env, progress }, AbortSignal.timeout(120_000))
}
