// Generates packages/shared/gen (our own protocols) and packages/core/gen (the Envoy v3 types that we emit and speak),
// as .js + .d.ts, from protos that come inside npm packages. Run by `npm run gen`, and by the launcher when proto/
// changed.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const deps = join(root, 'node_modules/@grpc/grpc-js-xds/deps')

// Entry files only; buf follows their imports.
const envoyEntries = [
  'envoy/service/discovery/v3/ads.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/filters/network/direct_response/v3/config.proto',
  'envoy/extensions/filters/network/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/rbac/v3/rbac.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/compressor/v3/compressor.proto',
  'envoy/extensions/compression/gzip/compressor/v3/gzip.proto',
  'envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/service/runtime/v3/rtds.proto',
]

/**
 * Types that our configuration never contains: annotations for other tools, and parts of Envoy's API with many imports.
 * Fields of these types are left out, so a zone loads half the descriptors and starts in half the time.
 */
const excluded = [
  'validate.rules',
  'validate.required',
  'validate.disabled',
  'udpa.annotations.versioning',
  'udpa.annotations.file_status',
  'udpa.annotations.sensitive',
  'udpa.annotations.field_migrate',
  'udpa.annotations.enum_value_migrate',
  'udpa.annotations.security',
  'xds.annotations.v3.file_status',
  'xds.annotations.v3.field_status',
  'xds.annotations.v3.message_status',
  'envoy.annotations.deprecated_at_minor_version',
  'envoy.annotations.deprecated_at_minor_version_enum',
  'envoy.annotations.disallowed_by_default',
  'envoy.annotations.disallowed_by_default_enum',
  'envoy.annotations.resource',
  'envoy.config.accesslog.v3',
  'envoy.config.trace.v3',
  'envoy.data.accesslog.v3',
  'envoy.config.core.v3.GrpcService',
  'envoy.config.core.v3.ApiConfigSource',
  'google.api.expr.v1alpha1',
  'xds.type.matcher.v3',
]

function buf(input, output, paths) {
  const template = {
    version: 'v2',
    inputs: [
      {
        directory: input,
        ...(paths.length > 0 ? { paths: paths.map((path) => join(input, path)), exclude_types: excluded } : {}),
      },
    ],
    plugins: [
      {
        local: [process.execPath, join(root, 'node_modules/@bufbuild/protoc-gen-es/bin/protoc-gen-es')],
        out: output,
        opt: ['target=js+dts', 'import_extension=js'],
        include_imports: paths.length > 0,
      },
    ],
    clean: true,
  }
  const args = ['generate', '--template', JSON.stringify(template)]
  const bin = join(root, 'node_modules/@bufbuild/buf/bin/buf')
  const result = spawnSync(process.execPath, [bin, ...args], { cwd: input, stdio: ['ignore', 2, 2] })
  if (result.status !== 0)
    throw new Error(`buf generate of ${input} ended with ${result.status ?? result.error?.message}`)
}

buf(join(root, 'proto'), join(root, 'packages/shared/gen'), [])

const scratch = mkdtempSync(join(tmpdir(), 'zonemesh-proto-'))
try {
  for (const folder of ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds']) {
    cpSync(join(deps, folder), scratch, { recursive: true, filter: (source) => !/\/(tests|java)(\/|$)/.test(source) })
  }
  // The bundled validate.proto is older than the bundled Envoy files, which use this additional field.
  const validate = join(scratch, 'validate/validate.proto')
  const text = readFileSync(validate, 'utf8')
  if (!text.includes('ignore_empty = 26')) {
    writeFileSync(
      validate,
      text.replace(/message StringRules \{/, 'message StringRules {\n    optional bool ignore_empty = 26;'),
    )
  }
  buf(scratch, join(root, 'packages/core/gen'), envoyEntries)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
