import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cachedEnvoy } from '@zonemesh/dataplane/envoy/find.ts'
import { expect } from 'vitest'
import { manifest } from '../../packaging/project.ts'
import { type Outcome, root } from '../e2e/rig.ts'

export const { version } = manifest
export const dist = join(root, 'dist')
export const pinnedEnvoyFile = cachedEnvoy(process.env)

/** The commands under a heading of docs/install.md, as a reader types them. */
export function commandsOf(heading: string): string {
  const page = readFileSync(join(root, 'docs/install.md'), 'utf8')
  const [, commands] = new RegExp(`^## ${heading}$[^]*?^\`\`\`sh\n([^]*?)^\`\`\``, 'm').exec(page) ?? []
  if (commands === undefined) throw new Error(`docs/install.md has no commands under "${heading}"`)
  return commands
}

/**
 * Builds an image of Debian with these packages and nothing else. A package of another architecture has its name with a colon:
 * `libstdc++6:arm64`.
 */
export function debianWith(packages: readonly string[]): string {
  const name = `zonemesh-test-${packages[0]}`
  const others = new Set(packages.flatMap((name) => name.split(':').slice(1)))
  const prepare = [...others].map((name) => `dpkg --add-architecture ${name} && `).join('')
  const install = `apt-get install -y -qq --no-install-recommends ${packages.join(' ')}`
  const file = `FROM debian:bookworm-slim\nRUN ${prepare}apt-get update -qq && ${install} && rm -rf /var/lib/apt/lists/*\n`
  execFileSync('docker', ['build', '--quiet', '--tag', name, '-'], {
    input: file,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  return name
}

/** Stands in for curl, which slim images lack: curl -H HEADER http://ADDRESS:PORT/PATH */
const curl = `#!/bin/bash
rest=\${3#http://}
address=\${rest%%/*}
exec 3<>"/dev/tcp/\${address%:*}/\${address#*:}" || exit 7
printf 'GET /%s HTTP/1.1\\r\\n%s\\r\\nconnection: close\\r\\n\\r\\n' "\${rest#*/}" "$2" >&3
cat <&3
`

export interface ContainerOptions {
  readonly image: string
  /** Options of `docker run`, and after them the command of the container. */
  readonly options: readonly string[]
  readonly command: readonly string[]
}

/** A container with the packages in /packages, and a user who has an empty home folder with the file `envoy`. */
export async function startContainer({ image, options, command }: ContainerOptions) {
  const mounts = ['-v', `${dist}:/packages:ro`, '-v', `${pinnedEnvoyFile}:/home/someone/envoy:ro`]
  const id = execFileSync('docker', ['run', '--detach', ...options, ...mounts, image, ...command], {
    encoding: 'utf8',
  }).trim()
  const typed = async (script: string, args: readonly string[]): Promise<Outcome> => {
    const child = spawn('docker', ['exec', '-i', ...args, id, 'bash', '-c', script], { timeout: 170_000 })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.stdin.end()
    const [code, signal]: (number | string)[] = await once(child, 'close')
    return { code: code ?? signal ?? '', stdout, stderr }
  }
  const container = {
    /** Runs commands as root in /packages. Stops at the first one that fails. */
    asRoot: (script: string) => typed(`set -e\n${script}`, ['-w', '/packages']),
    /** Runs commands as the user at home. Stops at the first one that fails. */
    asUser: (script: string) =>
      typed(`set -e\n${script}`, ['-w', '/home/someone', '-u', '1234:1234', '-e', 'HOME=/home/someone']),
    [Symbol.dispose]: () => void execFileSync('docker', ['rm', '--force', '--volumes', id], { stdio: 'ignore' }),
  }
  const setUp = `cat > /usr/local/bin/curl <<'END'\n${curl}END\nchmod 755 /usr/local/bin/curl; chown 1234:1234 /home/someone`
  expect(await container.asRoot(setUp)).toMatchObject({ code: 0 })
  return container
}
export type Container = Awaited<ReturnType<typeof startContainer>>

/**
 * Types the commands of the first mesh, as a user who may not write into the installation: a request that enters in east is
 * answered in west. Afterwards nothing runs, nothing below the installation has changed, and the home folder has the mesh,
 * caches and state only.
 */
export async function proveFirstMesh(container: Container, installation: string): Promise<void> {
  await container.asRoot('touch /tmp/mark')
  const typed = await container.asUser(commandsOf('First mesh'))
  expect(typed, typed.stdout).toMatchObject({ code: 0, stderr: expect.stringMatching(/^stopped \d+ processes$/m) })
  expect(typed.stdout).toMatch(new RegExp(`^client ${version} \\(Node 24\\.`))
  expect(typed.stdout).toContain('/home/someone/.cache/zonemesh/envoy/envoy-')
  expect(typed.stdout).toMatch(/^✔ .* served in east and west$/m)
  expect(typed.stdout).toContain('HTTP/1.1 200 OK')
  expect(typed.stdout).toContain('"zone":"west"')
  expect(typed.stdout).toMatch(/^east +current/m)
  const home = await container.asUser('ls -A; zonemesh envoy path; ls .cache/zonemesh')
  expect(home.stdout).toMatch(
    /^\.cache\n(\.local\n)?envoy\nshop\n\/home\/someone\/\.cache\/zonemesh\/envoy\/envoy-[\d.]+\ncompile\nenvoy\n$/,
  )
  expect(await container.asRoot(`find ${installation} -newer /tmp/mark`)).toMatchObject({ code: 0, stdout: '' })
  const left = await container.asRoot("grep -la 'main[.]js\\|[e]nvoy' /proc/[0-9]*/cmdline 2>/dev/null || true")
  expect(left.stdout.split('\n').filter((line) => line !== '' && !line.includes('/self/'))).toEqual([])
}
