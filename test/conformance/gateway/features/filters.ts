import { exact, type Feature, prefix, type Rule, redirect, rule, to, v1, v2, v3 } from '../feature.ts'

// The effects of filters on requests and responses.

const named = (values: Readonly<Record<string, string>>) =>
  Object.entries(values).map(([name, value]) => ({ name, value }))
interface Changes {
  readonly set?: Readonly<Record<string, string>>
  readonly add?: Readonly<Record<string, string>>
  readonly remove?: readonly string[]
}
const changes = ({ set, add, remove }: Changes) => ({
  ...(set ? { set: named(set) } : {}),
  ...(add ? { add: named(add) } : {}),
  ...(remove ? { remove } : {}),
})
const onRequest = (wanted: Changes) => ({ requestHeader: changes(wanted) })
const onResponse = (wanted: Changes) => ({ responseHeader: changes(wanted) })
const mirror = (service: string, percentage = 100) => ({
  mirror: { percentage, backend: { destination: { 'kuma.io/service': service } } },
})
const rewrite = (how: Readonly<Record<string, unknown>>) => ({ rewrite: how })

const modify = onRequest({
  set: { 'X-Header-Set': 'set-overwrites-values' },
  add: { 'X-Header-Add': 'header-val-1', 'X-Header-Add-Append': 'header-val-2' },
  remove: ['X-Header-Remove'],
})
const modified = {
  sent: { 'X-Header-Remove': 'remove-val', 'X-Header-Add-Append': 'append-val-1', 'X-Header-Set': 'set-val' },
  asked: {
    headers: {
      'x-header-add': 'header-val-1',
      'x-header-add-append': 'append-val-1,header-val-2',
      'x-header-set': 'set-overwrites-values',
    },
    without: ['x-header-remove'],
  },
}
const multiple: Changes = {
  set: { 'X-Header-Set-1': 'header-set-1', 'X-Header-Set-2': 'header-set-2' },
  add: { 'X-Header-Add-1': 'header-add-1', 'X-Header-Add-2': 'header-add-2', 'X-Header-Add-3': 'header-add-3' },
  remove: ['X-Header-Remove-1', 'X-Header-Remove-2'],
}
const multipleSent = {
  'X-Header-Set-2': 'set-val-2',
  'X-Header-Add-2': 'add-val-2',
  'X-Header-Remove-2': 'remove-val-2',
  'Another-Header': 'another-header-val',
}
const multipleDone = {
  headers: {
    'x-header-set-1': 'header-set-1',
    'x-header-set-2': 'header-set-2',
    'x-header-add-1': 'header-add-1',
    'x-header-add-2': 'add-val-2,header-add-2',
    'x-header-add-3': 'header-add-3',
    'another-header': 'another-header-val',
  },
  without: ['x-header-remove-1', 'x-header-remove-2'],
}
const seeOther = (status: number): Rule => redirect(prefix(`/status-${status}`), { statusCode: status })

export const filters: readonly Feature[] = [
  {
    name: 'request-headers',
    routes: [
      {
        http: [
          rule(prefix('/set'), v1, onRequest({ set: { 'X-Header-Set': 'set-overwrites-values' } })),
          rule(prefix('/add'), v1, onRequest({ add: { 'X-Header-Add': 'add-appends-values' } })),
          rule(prefix('/remove'), v1, onRequest({ remove: ['X-Header-Remove'] })),
          rule(prefix('/multiple'), v1, onRequest(multiple)),
          rule(
            prefix('/two-filters'),
            v1,
            onRequest({ set: { 'x-first': '1', 'x-both': 'first' } }),
            onRequest({ set: { 'x-second': '2', 'x-both': 'second' } }),
          ),
          rule(prefix('/host'), v1, onRequest({ set: { Host: 'changed.example' } })),
        ],
      },
    ],
    cases: [
      {
        path: '/set',
        headers: { 'Some-Other-Header': 'val' },
        to: v1,
        asked: { headers: { 'some-other-header': 'val', 'x-header-set': 'set-overwrites-values' } },
      },
      {
        path: '/set',
        headers: { 'X-Header-Set': 'some-other-value' },
        to: v1,
        asked: { headers: { 'x-header-set': 'set-overwrites-values' } },
      },
      { path: '/add', to: v1, asked: { headers: { 'x-header-add': 'add-appends-values' } } },
      {
        path: '/add',
        headers: { 'X-Header-Add': 'some-other-value' },
        to: v1,
        asked: { headers: { 'x-header-add': 'some-other-value,add-appends-values' } },
      },
      { path: '/remove', headers: { 'X-Header-Remove': 'val' }, to: v1, asked: { without: ['x-header-remove'] } },
      { path: '/remove', headers: { 'x-HEADER-remove': 'val' }, to: v1, asked: { without: ['x-header-remove'] } },
      { path: '/multiple', headers: multipleSent, to: v1, asked: multipleDone },
      {
        path: '/two-filters',
        to: v1,
        asked: { headers: { 'x-first': '1', 'x-second': '2', 'x-both': 'second' } },
      },
      { path: '/host', host: 'asked.example', to: v1, asked: { host: 'changed.example' } },
    ],
  },
  {
    name: 'response-headers',
    routes: [
      {
        http: [
          rule(prefix('/set'), v1, onResponse({ set: { 'X-Header-Set': 'set-overwrites-values' } })),
          rule(prefix('/add'), v1, onResponse({ add: { 'X-Header-Add': 'add-appends-values' } })),
          rule(prefix('/remove'), v1, onResponse({ remove: ['X-Header-Remove'] })),
          rule(prefix('/multiple'), v1, onResponse(multiple)),
          rule(prefix('/both'), v1, onResponse(multiple), modify),
        ],
      },
    ],
    cases: [
      {
        path: '/set',
        answering: { 'Some-Other-Header': 'val' },
        to: v1,
        answer: { headers: { 'some-other-header': 'val', 'x-header-set': 'set-overwrites-values' } },
      },
      {
        path: '/set',
        answering: { 'X-Header-Set': 'some-other-value' },
        to: v1,
        answer: { headers: { 'x-header-set': 'set-overwrites-values' } },
      },
      { path: '/add', to: v1, answer: { headers: { 'x-header-add': 'add-appends-values' } } },
      {
        path: '/add',
        answering: { 'X-Header-Add': 'some-other-value' },
        to: v1,
        answer: { headers: { 'x-header-add': 'some-other-value,add-appends-values' } },
      },
      { path: '/remove', answering: { 'X-Header-Remove': 'val' }, to: v1, answer: { without: ['x-header-remove'] } },
      {
        path: '/multiple',
        answering: { ...multipleSent, 'X-Header-Remove-1': 'val' },
        to: v1,
        answer: multipleDone,
      },
      {
        path: '/both',
        headers: modified.sent,
        answering: multipleSent,
        to: v1,
        asked: modified.asked,
        answer: multipleDone,
      },
    ],
  },
  {
    name: 'rewrite-host',
    routes: [
      {
        hostnames: ['rewrite.example'],
        http: [
          rule(prefix('/one'), v1, onRequest({ set: { host: 'one.example.org' } })),
          rule(prefix('/'), v2, onRequest({ set: { ':authority': 'example.org' } })),
          rule(prefix('/and-headers'), v2, onRequest({ set: { Host: 'test.example.org' } }), modify),
        ],
      },
    ],
    cases: [
      { host: 'rewrite.example', path: '/one', to: v1, asked: { host: 'one.example.org' } },
      { host: 'rewrite.example', path: '/two', to: v2, asked: { host: 'example.org' } },
      {
        host: 'rewrite.example',
        path: '/and-headers',
        headers: modified.sent,
        to: v2,
        asked: { ...modified.asked, host: 'test.example.org' },
      },
    ],
  },
  {
    name: 'rewrite-path',
    routes: [
      {
        http: [
          rule(prefix('/prefix/one'), v1, rewrite({ replacePrefixMatch: '/one' })),
          rule(prefix('/strip-prefix'), v1, rewrite({ replacePrefixMatch: '/' })),
          rule(prefix('/strip-empty'), v1, rewrite({ replacePrefixMatch: '' })),
          rule(prefix('/slash/'), v1, rewrite({ replacePrefixMatch: '/x/' })),
          rule(prefix('/full/one'), v1, rewrite({ replaceFull: '/one' })),
          rule(exact('/exact'), v1, rewrite({ replaceFull: '/replaced' })),
          rule(prefix('/full/and-headers'), v1, rewrite({ replaceFull: '/test' }), modify),
          rule(prefix('/prefix/and-headers'), v1, rewrite({ replacePrefixMatch: '/prefix' }), modify),
          rule(prefix('/prefix'), v2, rewrite({ replacePrefixMatch: '/deep/er' })),
        ],
      },
      { hostnames: ['root.example'], http: [rule(prefix('/'), v1, rewrite({ replacePrefixMatch: '/base' }))] },
    ],
    cases: [
      { path: '/prefix/one/two', to: v1, asked: { path: '/one/two' } },
      { path: '/prefix/one', to: v1, asked: { path: '/one' } },
      { path: '/prefix/one/', to: v1, asked: { path: '/one/' } },
      { path: '/prefix/one/two?three=4', to: v1, asked: { path: '/one/two?three=4' } },
      { path: '/strip-prefix/three', to: v1, asked: { path: '/three' } },
      { path: '/strip-prefix', to: v1, asked: { path: '/' } },
      { path: '/strip-prefix/', to: v1, asked: { path: '/' } },
      { path: '/strip-prefix?a=b', to: v1, asked: { path: '/?a=b' } },
      { path: '/strip-empty/three', to: v1, asked: { path: '/three' } },
      { path: '/strip-empty', to: v1, asked: { path: '/' } },
      { path: '/slash/y', to: v1, asked: { path: '/x/y' } },
      { path: '/slash', to: v1, asked: { path: '/x' } },
      { path: '/full/one/two', to: v1, asked: { path: '/one' } },
      { path: '/full/one/two?x=1', to: v1, asked: { path: '/one?x=1' } },
      { path: '/exact', to: v1, asked: { path: '/replaced' } },
      { path: '/full/and-headers/test', headers: modified.sent, to: v1, asked: { ...modified.asked, path: '/test' } },
      {
        path: '/prefix/and-headers/one',
        headers: modified.sent,
        to: v1,
        asked: { ...modified.asked, path: '/prefix/one' },
      },
      { path: '/prefix/other', to: v2, asked: { path: '/deep/er/other' } },
      { host: 'root.example', path: '/', to: v1, asked: { path: '/base' } },
      { host: 'root.example', path: '/x/y', to: v1, asked: { path: '/base/x/y' } },
    ],
  },
  {
    name: 'redirect-host-and-status',
    routes: [
      {
        http: [
          redirect(prefix('/hostname'), { hostname: 'example.org', statusCode: 302, port: 80 }),
          redirect(prefix('/host-and-status'), { hostname: 'example.org', statusCode: 301, port: 80 }),
          ...[301, 302, 303, 307, 308].map(seeOther),
        ],
      },
    ],
    cases: [
      { path: '/hostname', status: 302, location: 'http://example.org/hostname' },
      { path: '/host-and-status', status: 301, location: 'http://example.org/host-and-status' },
      { path: '/hostname?keep=me', status: 302, location: 'http://example.org/hostname?keep=me' },
      ...[301, 302, 303, 307, 308].map((status) => ({
        method: 'POST',
        host: 'here.example',
        path: `/status-${status}`,
        status,
        location: `http://here.example:PORT/status-${status}`,
      })),
    ],
  },
  {
    name: 'redirect-path',
    routes: [
      {
        http: [
          redirect(prefix('/original-prefix'), {
            path: { replacePrefixMatch: '/replacement-prefix' },
            statusCode: 302,
          }),
          redirect(prefix('/full'), { path: { replaceFull: '/full-path-replacement' }, statusCode: 302 }),
          redirect(prefix('/path-and-host'), {
            hostname: 'example.org',
            port: 80,
            path: { replacePrefixMatch: '/replacement-prefix' },
            statusCode: 302,
          }),
          redirect(prefix('/full-path-and-host'), {
            hostname: 'example.org',
            port: 80,
            path: { replaceFull: '/replacement-full' },
            statusCode: 301,
          }),
          redirect(prefix('/strip'), { path: { replacePrefixMatch: '/' }, statusCode: 302 }),
        ],
      },
    ],
    cases: [
      {
        host: 'h.example',
        path: '/original-prefix/lemon',
        status: 302,
        location: 'http://h.example:PORT/replacement-prefix/lemon',
      },
      {
        host: 'h.example',
        path: '/original-prefix',
        status: 302,
        location: 'http://h.example:PORT/replacement-prefix',
      },
      {
        host: 'h.example',
        path: '/original-prefix/lemon?q=1',
        status: 302,
        location: 'http://h.example:PORT/replacement-prefix/lemon?q=1',
      },
      {
        host: 'h.example',
        path: '/full/path/original',
        status: 302,
        location: 'http://h.example:PORT/full-path-replacement',
      },
      { path: '/path-and-host', status: 302, location: 'http://example.org/replacement-prefix' },
      { path: '/full-path-and-host', status: 301, location: 'http://example.org/replacement-full' },
      { host: 'h.example', path: '/strip/a', status: 302, location: 'http://h.example:PORT/a' },
      { host: 'h.example', path: '/strip', status: 302, location: 'http://h.example:PORT/' },
    ],
  },
  {
    name: 'redirect-port-and-scheme',
    routes: [
      {
        http: [
          redirect(prefix('/port-8083'), { port: 8083, statusCode: 302 }),
          redirect(prefix('/port-and-host'), { port: 8083, hostname: 'example.org', statusCode: 302 }),
          redirect(prefix('/scheme-https'), { scheme: 'https', statusCode: 302 }),
          redirect(prefix('/scheme-and-host'), { scheme: 'https', hostname: 'example.org', statusCode: 301 }),
          redirect(prefix('/scheme-https-and-port-443'), {
            scheme: 'https',
            port: 443,
            hostname: 'example.org',
            statusCode: 302,
          }),
          redirect(prefix('/scheme-https-and-port-8443'), {
            scheme: 'https',
            port: 8443,
            hostname: 'example.org',
            statusCode: 302,
          }),
          redirect(prefix('/port-80'), { port: 80, hostname: 'example.org', statusCode: 302 }),
          redirect(prefix('/nothing-else'), { hostname: 'example.org', statusCode: 302 }),
        ],
      },
    ],
    cases: [
      { host: 'h.example', path: '/port-8083', status: 302, location: 'http://h.example:8083/port-8083' },
      { path: '/port-and-host', status: 302, location: 'http://example.org:8083/port-and-host' },
      { host: 'h.example', path: '/scheme-https', status: 302, location: 'https://h.example/scheme-https' },
      { path: '/scheme-and-host', status: 301, location: 'https://example.org/scheme-and-host' },
      { path: '/scheme-https-and-port-443', status: 302, location: 'https://example.org/scheme-https-and-port-443' },
      {
        path: '/scheme-https-and-port-8443',
        status: 302,
        location: 'https://example.org:8443/scheme-https-and-port-8443',
      },
      { path: '/port-80', status: 302, location: 'http://example.org/port-80' },
      { path: '/nothing-else', status: 302, location: 'http://example.org:PORT/nothing-else' },
    ],
  },
  {
    name: 'mirror',
    routes: [
      {
        http: [
          { matches: [prefix('/mirror')], filters: [mirror(v2)], backends: to(v1) },
          { matches: [prefix('/mirror-and-modify')], filters: [modify, mirror(v2)], backends: to(v1) },
          { matches: [prefix('/multi-mirror')], filters: [mirror(v2), mirror(v3)], backends: to(v1) },
          { matches: [prefix('/none')], filters: [mirror(v2, 0)], backends: to(v1) },
          { matches: [prefix('/to-nobody')], filters: [mirror('nobody_demo_svc_1')], backends: to(v1) },
        ],
      },
    ],
    cases: [
      { path: '/mirror', to: v1, mirroredTo: [v2] },
      { path: '/mirror-and-modify', headers: modified.sent, to: v1, asked: modified.asked, mirroredTo: [v2] },
      { path: '/multi-mirror', to: v1, mirroredTo: [v2, v3] },
      { path: '/none', to: v1 },
      { path: '/to-nobody', to: v1 },
    ],
  },
]
