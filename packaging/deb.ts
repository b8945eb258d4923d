import {
  chmodSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { completionFiles } from './man.ts'
import { commitTime, manifest, root } from './project.ts'
import { run } from './run.ts'
import { type Architecture, debianNames } from './runtime.ts'

interface DebOptions {
  /** A package with Node and its dependencies. */
  readonly runtime: string
  readonly folder: string
  readonly file: string
  readonly architecture: Architecture
}

/** A name without an address: reports go through the project's pages, and Debian requires the form of an address. */
const maintainer = 'The Zonemesh project <zonemesh@project.invalid>'
const units = ['zonemesh-global.service', 'zonemesh-zone@.service', 'zonemesh-dataplane@.service']
const environmentFiles = ['global.env', 'zone.env', 'dataplane.env']
const documents = ['install', 'reference', 'security']

/** Builds a .deb: the runtime in /usr/lib/zonemesh, one command, and units that start nothing by themselves. */
export function buildDeb({ runtime, folder, file, architecture }: DebOptions): void {
  const from = (name: string): string => readFileSync(join(root, 'packaging/deb', name), 'utf8')
  const put = (path: string, content: string | Buffer, mode = 0o644): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), content)
    chmodSync(join(folder, path), mode)
  }
  rmSync(folder, { recursive: true, force: true })
  cpSync(runtime, join(folder, 'usr/lib/zonemesh'), { recursive: true })
  rmSync(join(folder, 'usr/lib/zonemesh/docs'), { recursive: true })
  for (const file of readdirSync(join(runtime, 'man')))
    put(`usr/share/man/man1/${file}.gz`, gzipSync(readFileSync(join(runtime, 'man', file)), { level: 9 }))
  rmSync(join(folder, 'usr/lib/zonemesh/man'), { recursive: true })
  for (const [path, script] of Object.entries(completionFiles)) put(path, script)
  mkdirSync(join(folder, 'usr/bin'), { recursive: true })
  symlinkSync('../lib/zonemesh/bin/zonemesh', join(folder, 'usr/bin/zonemesh'))
  for (const unit of units) put(`lib/systemd/system/${unit}`, from(unit).replace('@COMMON@\n', from('common.conf')))
  for (const name of environmentFiles) put(`etc/zonemesh/${name}`, from(name), 0o640)
  chmodSync(join(folder, 'etc/zonemesh'), 0o750)
  for (const name of documents) put(`usr/share/doc/zonemesh/${name}.md`, readFileSync(join(root, 'docs', `${name}.md`)))
  put('usr/share/doc/zonemesh/copyright', copyright())
  put('usr/share/doc/zonemesh/changelog.gz', gzipSync(changelog(), { level: 9 }))
  put('usr/share/lintian/overrides/zonemesh', from('lintian-overrides'))
  put('DEBIAN/conffiles', environmentFiles.map((name) => `/etc/zonemesh/${name}\n`).join(''))
  for (const script of ['postinst', 'prerm', 'postrm']) put(`DEBIAN/${script}`, from(script), 0o755)
  put('DEBIAN/control', control(architecture, kibibytesBelow(folder)))
  run('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', folder, file])
}

const control = (architecture: Architecture, kibibytes: number): string => `Package: zonemesh
Version: ${manifest.version}
Architecture: ${debianNames[architecture]}
Maintainer: ${maintainer}
Section: net
Priority: optional
Depends: adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9)
Installed-Size: ${kibibytes}
Description: ${manifest.description.replace(/^A /, '').replace(/^./, (first) => first.toLowerCase())}
 Zonemesh configures Envoy proxies in several zones from one global control
 plane. This package has the control planes, the proxy process and the command
 line, with the Node that runs them. Envoy itself is not included; the command
 "zonemesh envoy install" installs it.
`

const copyright = (): string => `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Zonemesh

Files: *
Copyright: The authors of Zonemesh
License: Apache-2.0

Files: usr/lib/zonemesh/node/*
Copyright: The contributors of Node.js
License: see-file
 The file /usr/lib/zonemesh/node/LICENSE has the licences of Node.js and of the
 libraries inside.

Files: usr/lib/zonemesh/node_modules/*
Copyright: The authors of each package
License: see-file
 Each package has its licence in its own folder.

License: Apache-2.0
 On Debian systems, the full text of this licence is in the file
 /usr/share/common-licenses/Apache-2.0.
`

const changelog = (): string => `zonemesh (${manifest.version}) unstable; urgency=medium

  * See CHANGELOG.md in /usr/lib/zonemesh.

 -- ${maintainer}  ${new Date(commitTime() * 1000).toUTCString().replace('GMT', '+0000')}
`

function kibibytesBelow(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name))
  const sizes = files.map((file) => statSync(file, { throwIfNoEntry: false })).filter((stat) => stat?.isFile())
  return sizes.reduce((sum, stat) => sum + Math.ceil((stat?.size ?? 0) / 1024), 0)
}
