import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultConfig, type Trust } from '@zonemesh/dataplane/contract.ts'
import { count, duration, option, port, text, texts, toggle } from '@zonemesh/plane/config/options.ts'
import type { Join } from '@zonemesh/shared/auth/join.ts'
import { logLevels } from '@zonemesh/shared/env/log.ts'
import { z } from 'zod'
import { readText } from '../base/client.ts'
import { CommandError, defineCommand } from '../base/command.ts'
import { readJoin } from '../base/join.ts'
import { createEnv } from '../base/process.ts'
import { readVariables } from '../files/documents.ts'

function trustOf(caCertFile: string | undefined, join: Join | undefined): Trust {
  if (caCertFile !== undefined) return { type: 'authority', pem: readText(caCertFile) }
  return join ? { type: 'pin', sha256: join.pin } : { type: 'system' }
}

export const dataplane = defineCommand({
  name: 'dataplane',
  summary:
    'run a proxy: registers its resource with the zone, runs Envoy and a name resolver beside it, and removes it when it ends',
  usage: '--dataplane-file FILE (--join STRING|FILE | --cp-address URL --token-file FILE --ca-cert-file FILE)',
  examples: [
    'zonemesh dataplane --dataplane-file web.yaml --dataplane-var address=10.0.0.7 --join web.join',
    'zonemesh dataplane --dataplane-file ingress.yaml --cp-address https://zone:5678 --token-file ingress.token --ca-cert-file ca.crt',
    'zonemesh dataplane --dataplane-file egress.yaml --cp-address https://zone:5678 --token-file egress.token --ca-cert-file ca.crt',
  ],
  arity: { min: 0, max: 0 },
  options: {
    configFile: option(text.optional(), 'YAML file with settings, named as in the reference page', {
      placeholder: 'FILE',
    }),
    dataplaneFile: option(text.optional(), 'the Dataplane, ZoneIngress or ZoneEgress to register (YAML)', {
      placeholder: 'FILE',
    }),
    dataplaneVar: option(texts.default([]), 'a value for {{NAME}} in that file', {
      placeholder: 'NAME=VALUE',
      repeated: true,
    }),
    proxyType: option(
      z.enum(['dataplane', 'ingress', 'egress']).optional(),
      'dataplane, ingress or egress; with a file it follows from the type of the resource',
      { placeholder: 'TYPE', shownDefault: 'as the file; with --name dataplane' },
    ),
    name: option(text.optional(), 'name of a proxy whose resource exists already, instead of a file', {
      placeholder: 'NAME',
    }),
    mesh: option(text.default('default'), 'mesh of that proxy', {
      placeholder: 'MESH',
      short: 'm',
      shownDefault: 'default',
    }),
    cpAddress: option(
      text.optional(),
      'the proxy port of the zone control plane; of several replicas, separated by commas',
      {
        placeholder: 'URL[,URL]',
        shownDefault: defaultConfig.address,
      },
    ),
    tokenFile: option(text.optional(), 'file with the token of this proxy', { placeholder: 'FILE' }),
    caCertFile: option(text.optional(), 'the authority of the zone control plane (PEM)', { placeholder: 'FILE' }),
    join: option(text.optional(), 'a join string (address, token and pin in one), or a file that holds it', {
      placeholder: 'STRING|FILE',
      secret: true,
    }),
    joinFile: option(text.optional(), 'file with the join string, as --join FILE', { placeholder: 'FILE' }),
    workDir: option(text.optional(), 'folder for what it keeps between runs', {
      placeholder: 'DIR',
      shownDefault: 'a new temporary folder',
    }),
    concurrency: option(count(1).default(defaultConfig.concurrency), 'worker threads of Envoy', {
      placeholder: 'N',
      shownDefault: String(defaultConfig.concurrency),
    }),
    drainTime: option(duration.prefault('5s'), 'how long to go on serving after SIGTERM', {
      placeholder: 'DURATION',
      shownDefault: '5s',
    }),
    dns: option(toggle.default(true), 'run the name resolver and give names loopback addresses', {
      shownDefault: 'on; --no-dns',
    }),
    dnsPort: option(port.default(defaultConfig.dns.port), 'port of the resolver', {
      placeholder: 'PORT',
      shownDefault: String(defaultConfig.dns.port),
    }),
    adminPort: option(port.optional(), "port of Envoy's admin on 127.0.0.1", {
      placeholder: 'PORT',
      shownDefault: 'a socket in the work folder',
    }),
    readinessPort: option(port.optional(), 'port of GET /ready on 127.0.0.1', {
      placeholder: 'PORT',
      shownDefault: 'none',
    }),
    logLevel: option(z.enum(logLevels).default('info'), `how much to log: ${logLevels.join(', ')}`, {
      placeholder: 'LEVEL',
      shownDefault: 'info',
    }),
  },
  async run(values, { signal, note }) {
    if ((values.dataplaneFile === undefined) === (values.name === undefined)) {
      throw new CommandError('give --dataplane-file, or --name for a proxy whose resource exists already', 2)
    }
    const given = values.cpAddress?.split(',').map((one) => one.trim())
    for (const one of given ?? []) {
      if (!/^https?:$/.test(URL.parse(one)?.protocol ?? ''))
        throw new CommandError(`--cp-address: expected a URL such as https://zone:5678, found "${one}"`, 2)
    }
    const known = readJoin(values)?.join
    const token = values.tokenFile === undefined ? known?.token : readText(values.tokenFile).trim()
    const env = createEnv(values.logLevel, 'dataplane')
    // Loaded only now: help and wrong use do not wait for it.
    const { startDataplane } = await import('@zonemesh/dataplane/dataplane.ts')
    const running = await startDataplane(
      { ...env, env: process.env, progress: note, envoyOutput: (line) => env.log.info({ part: 'envoy' }, line) },
      {
        proxyType: values.proxyType,
        source:
          values.dataplaneFile === undefined
            ? { type: 'existing', mesh: values.mesh, name: values.name ?? '' }
            : {
                type: 'resource',
                yaml: readText(values.dataplaneFile),
                variables: readVariables(values.dataplaneVar, '--dataplane-var'),
              },
        address: given?.[0] ?? known?.address ?? defaultConfig.address,
        otherAddresses: given?.slice(1) ?? known?.otherAddresses ?? [],
        trust: trustOf(values.caCertFile, known),
        ...(token === undefined ? {} : { token }),
        workDir: values.workDir ?? mkdtempSync(join(tmpdir(), 'zonemesh-dataplane-')),
        concurrency: values.concurrency,
        drainMs: values.drainTime,
        dns: { enabled: values.dns, port: values.dnsPort },
        ...(values.adminPort === undefined ? {} : { adminPort: values.adminPort }),
        ...(values.readinessPort === undefined ? {} : { readinessPort: values.readinessPort }),
      },
      signal,
    )
    env.log.info(
      { proxy: `${running.mesh}.${running.name}`, resolver: running.resolver, workDir: running.workDir },
      'the proxy is started',
    )
    await running.done
    return 0
  },
})
