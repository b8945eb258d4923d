import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stepsOf } from '../e2e/page-steps.ts'
import { root as sources, until } from '../e2e/rig.ts'
import { type Container, commandsOf, debianWith, dist, proveFirstMesh, startContainer, version } from './rig.ts'

let container: Container
beforeAll(async () => {
  container = await startContainer({
    image: debianWith(['systemd', 'systemd-sysv', 'dbus', 'man-db']),
    options: ['--privileged', '--network', 'none', '--tmpfs', '/run', '--stop-signal', 'SIGRTMIN+3'],
    command: ['/lib/systemd/systemd'],
  })
})
afterAll(() => container[Symbol.dispose]())

/** Runs commands as root that must succeed. Returns their output. */
async function root(script: string): Promise<string> {
  const { code, stdout, stderr } = await container.asRoot(script)
  expect({ code, stderr: code === 0 ? '' : stderr, stdout: code === 0 ? '' : stdout }).toEqual({
    ...{ code: 0, stderr: '', stdout: '' },
  })
  return stdout
}

const untilOutput = (what: string, script: string, pattern: RegExp): Promise<unknown> =>
  until(
    what,
    () => container.asRoot(script),
    ({ stdout }) => pattern.test(stdout),
    60_000,
  )

const asService = (command: string): string => `runuser -u zonemesh -- zonemesh ${command}`

test('IN10 the Debian package installs offline, keeps settings private, and a user runs a mesh with it', async () => {
  await root(commandsOf('Debian and Ubuntu'))
  const fields = ['Version', 'Architecture'].map((name) => `\${${name}}`).join(' ')
  expect(await root(`dpkg-query -W -f '${fields}' zonemesh`)).toBe(`${version} amd64`)
  const paths = '/etc/zonemesh /etc/zonemesh/*.env /var/lib/zonemesh'
  expect((await root(`stat -c '%U:%G %a' ${paths} | uniq`)).split('\n')).toEqual([
    ...['root:zonemesh 750', 'root:zonemesh 640', 'zonemesh:zonemesh 750', ''],
  ])
  expect(await root("systemctl list-units --all --plain --no-legend 'zonemesh*'")).toBe('')
  await proveFirstMesh(container, '/usr/lib/zonemesh')
})

test('IN17 the Debian package has a manual page for each command, and completion for bash, zsh and fish', async () => {
  const help = await root('zonemesh --help')
  const commands = [...help.matchAll(/^ {2}([a-z][a-z -]*?) {2,}/gm)].map(([, name = '']) => name.replaceAll(' ', '-'))
  expect(commands).toContain('zone-release')
  expect(await root('man -w zonemesh zonemesh-status zonemesh-zone-release')).toBe(
    ['zonemesh', 'zonemesh-status', 'zonemesh-zone-release']
      .map((name) => `/usr/share/man/man1/${name}.1.gz\n`)
      .join(''),
  )
  expect(await container.asUser('man zonemesh-status')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('zonemesh status'),
    stderr: '',
  })
  const pages = (await root('ls /usr/share/man/man1')).split('\n')
  expect(commands.filter((name) => !pages.includes(`zonemesh-${name}.1.gz`))).toEqual([])
  const loaded = await container.asUser(
    '. /usr/share/bash-completion/completions/zonemesh; complete -p zonemesh; head -n 1 /usr/share/zsh/vendor-completions/_zonemesh; grep -c "complete -c zonemesh" /usr/share/fish/vendor_completions.d/zonemesh.fish',
  )
  expect(loaded).toMatchObject({ code: 0, stderr: '' })
  expect(loaded.stdout).toMatch(/^complete .*zonemesh\n#compdef zonemesh\n[1-9]/)
})

test('IN16 a zone runs alone by its file of settings', async () => {
  const page = readFileSync(join(sources, 'docs/install.md'), 'utf8')
  const [, settings = ''] = /\n```\n(ZONEMESH_NAME=[\s\S]*?)```/.exec(page) ?? []
  await root(`cat > /etc/zonemesh/zone-home.env <<'END'\n${settings}END\nsystemctl enable --now zonemesh-zone@home`)
  await untilOutput('the zone serves', asService('status'), /^standalone control plane of zone home, /)
  // The ports are those of the global of the next test.
  await root('systemctl disable --now zonemesh-zone@home; rm /etc/zonemesh/zone-home.env')
})

test('IN11 the units pass systemd-analyze, and a global, a zone and a proxy run in their sandbox', async () => {
  const units = '/lib/systemd/system/zonemesh-*.service'
  expect(await container.asRoot(`systemd-analyze verify ${units}`)).toEqual({ code: 0, stdout: '', stderr: '' })
  await root(`systemd-analyze security --offline=true --threshold=25 ${units}`)

  await root('systemctl enable --now zonemesh-global')
  await untilOutput('the global serves', asService('status'), /^global control plane/)
  await root(`cd /root
    ${asService('token zone east --join-address 127.0.0.1:5685')} > east.join
    ${asService('token dataplane')} > dataplane.token
    install -g zonemesh -m 0640 east.join /etc/zonemesh/zone-east.join
    install -g zonemesh -m 0640 dataplane.token /etc/zonemesh/dataplane.token
    printf 'ZONEMESH_HOST=127.0.0.1\\nZONEMESH_API_PORT=5691\\nZONEMESH_API_TLS_PORT=5692\\nZONEMESH_HEALTH_PORT=5690\\n' > /etc/zonemesh/zone-east.env
    systemctl enable --now zonemesh-zone@east`)
  await untilOutput('the zone is current', asService('status'), /^east +current/m)

  await root(`zonemesh envoy install --from /home/someone/envoy --out /usr/local/bin/envoy
    ${asService('apply -f -')} <<END
type: MeshGateway
mesh: default
name: edge
selectors: [{ match: { kuma.io/service: edge } }]
conf: { listeners: [{ port: 80, protocol: HTTP, hostname: shop.example.com }] }
END
    cat > /etc/zonemesh/dataplane-edge-1.yaml <<END
type: Dataplane
mesh: default
name: edge-1
networking: { address: 127.0.0.1, gateway: { type: BUILTIN, tags: { kuma.io/service: edge } } }
END
    cat > /etc/zonemesh/dataplane-edge-1.env <<END
ZONEMESH_CP_ADDRESS=https://127.0.0.1:5678
ZONEMESH_CA_CERT_FILE=/var/lib/zonemesh/zone-east/ca.crt
ZONEMESH_TOKEN_FILE=/etc/zonemesh/dataplane.token
END
    chgrp zonemesh /etc/zonemesh/dataplane-edge-1.yaml
    systemctl enable --now zonemesh-dataplane@edge-1`)
  // The listener has no routes. That Envoy answers on port 80 shows that the proxy has its one capability.
  const ask = "curl -H 'host: shop.example.com' http://127.0.0.1:80/"
  await untilOutput('the gateway answers on port 80', ask, /^HTTP\/1\.1 404/)
})

test('OP1 the commands of docs/operating.md for the Debian package work as printed', async () => {
  await root('cd /root; ln -s /packages/zonemesh_*_amd64.deb .')
  const blocks = stepsOf('docs/operating.md').filter(({ machine }) => machine === 'debian')
  expect(blocks.length).toBeGreaterThan(2)
  for (const block of blocks) if (block.type === 'run') await root(`cd /root\n${block.commands}`)
  expect(await root('ls /root/global-backup')).toContain('store.db')
  await root('systemctl disable --now zonemesh-zone@west')
})

test('IN12 a service that is killed is started again, and a stop ends all its processes without a failure', async () => {
  const { stdout: before } = await container.asRoot('systemctl show -p MainPID --value zonemesh-dataplane@edge-1')
  await root(`kill -9 ${before.trim()}`)
  const restarts = 'systemctl show -p NRestarts --value zonemesh-dataplane@edge-1'
  await untilOutput('the proxy is started again', restarts, /^1$/m)
  const ask = "curl -H 'host: shop.example.com' http://127.0.0.1:80/"
  await untilOutput('the gateway answers again', ask, /^HTTP\/1\.1 404/)
  const units = 'zonemesh-dataplane@edge-1 zonemesh-zone@east zonemesh-global'
  await root(`systemctl stop ${units}`)
  const states = await root(`systemctl show -p Result --value ${units}`)
  expect(states.split('\n').filter(Boolean)).toEqual(['success', 'success', 'success'])
  expect(await root("grep -la 'main[.]js\\|[e]nvoy' /proc/[0-9]*/cmdline | grep -v /self/ || true")).toBe('')
  await root('systemctl start zonemesh-global')
})

test('IN13 removal stops the services and keeps data and settings, and purge removes everything', async () => {
  await root('echo "# kept" >> /etc/zonemesh/global.env; apt-get remove --yes zonemesh')
  expect(await root('ls /usr/lib/zonemesh /usr/bin/zonemesh 2>/dev/null || true')).toBe('')
  expect(await root("grep -la 'main[.]js' /proc/[0-9]*/cmdline | grep -v /self/ || true")).toBe('')
  expect(await root('tail -n 1 /etc/zonemesh/global.env; ls /var/lib/zonemesh')).toContain('# kept\n')
  await root('apt-get purge --yes zonemesh')
  const left = 'ls -d /etc/zonemesh /var/lib/zonemesh /var/cache/zonemesh /etc/systemd/system/*.wants/zonemesh*'
  expect(await root(`${left} 2>/dev/null || true`)).toBe('')
  expect(await root('id zonemesh 2>/dev/null || true')).toBe('')
})

test('IN14 lintian finds no errors in the Debian package', () => {
  const image = debianWith(['lintian'])
  const file = `/packages/zonemesh_${version}_amd64.deb`
  const args = ['run', '--rm', '-v', `${dist}:/packages:ro`, image, 'lintian', '--fail-on', 'none', file]
  const output = execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  expect(output.split('\n').filter((line) => line.startsWith('E:'))).toEqual([])
})
