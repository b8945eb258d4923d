import { byHand, intermediate, workload } from '@zonemesh/plane/status/expiry.ts'
import { test } from 'vitest'
import { globalLines, healthy, nowMs, zoneLines } from './planes.ts'
import { expectPage, type Shown } from './text.ts'

const screens = (command: string, entries: readonly (readonly [title: string, lines: Promise<string[]>])[]) =>
  Promise.all(entries.map(async ([title, lines]): Promise<Shown> => ({ title, command, lines: await lines })))

const hour = 3_600_000
const lostStore =
  'cannot write store /var/lib/zonemesh/global/store.db: /var/lib/zonemesh/global/store.db was deleted while this plane has it open: move the same file back, or stop this plane, restore the store and start it again'
const behind = { current: false, stored: 1, served: 1, lag: 2, lagMs: 65_000 }
const hold = {
  id: 'commit:1.3',
  origin: 'global',
  reason: 'revision 3 of the global removes 19 of 20 Timeout without declared intent',
  removals: 19,
}
const end = (lastEnd: string, lastEndCode: 'held-by-another' | 'wrong-global' | 'shutdown') => ({
  ...{ lastEnd, lastEndCode, lastEndAtMs: nowMs - 4_000 },
})
const restart = 'restart the control plane: it replaces the certificate'
const otherGlobal =
  'expected the global whose store is 1f0e, found one whose store is 9c2a: this zone accepts no rows from it until an operator accepts it'
const otherHost =
  'another control plane runs as this zone: east-2, started 2026-01-01T00:00:00.000Z, with another store; stop one of the two'
const verdict = (key: string, outcome: 'rejected' | 'quarantined', reason: string, subject = '') => ({
  ...{ key, revision: 3, outcome, reason, subject },
})
const gateway = 'east/Dataplane/default/gateway-1'
const badRoute = verdict(
  'global/MeshGatewayRoute/default/shop',
  'rejected',
  'Only a single wildcard domain is permitted',
  gateway,
)

test('B91 status of a global equals its golden text', async () => {
  expectPage(
    'status-global',
    await screens('zonemesh status', [
      ['two zones are current, and one has not started', globalLines({})],
      ['there is no zone', globalLines({ names: [], zones: [] })],
      [
        'west is offline, and east is behind',
        globalLines({
          zones: [healthy('east', behind), healthy('west', { connected: false, ...end('stopped', 'shutdown') })],
        }),
      ],
      ['east holds a change', globalLines({ zones: [healthy('east', { ...behind, holds: [hold] }), healthy('west')] })],
      [
        'east cannot store anything, and west has not started',
        globalLines({ zones: [healthy('east', { ...behind, blocked: 'database or disk is full' })] }),
      ],
      [
        'the global refuses west, and it has refused another process that is started as east',
        globalLines({
          zones: [
            healthy('east', end(otherHost, 'held-by-another')),
            healthy('west', { connected: false, ...end(otherGlobal, 'wrong-global') }),
          ],
        }),
      ],
      [
        'an Envoy of east refuses a route, and west leaves out a row',
        globalLines({
          zones: [
            healthy('east', { verdicts: [badRoute] }),
            healthy('west', {
              verdicts: [
                verdict('global/Timeout/default/slow', 'quarantined', 'conf.connectTimeout: expected a duration'),
              ],
            }),
          ],
        }),
      ],
      [
        'the global refuses a row of east, and east has come back without its former store',
        globalLines({
          refused: [
            { key: 'east/Dataplane/default/pay-1', reason: 'zone "east" may not announce kuma.io/service=pay' },
          ],
          formers: new Map([['east', { rows: 7, expiresInMs: 250_000 }]]),
        }),
      ],
      [
        'the clock of west is behind, and reports of east are too large',
        globalLines({ zones: [healthy('east', { reportLeftOut: 3 }), healthy('west', { clockAheadMs: -95_000 })] }),
      ],
      [
        'certificates and a token expire',
        globalLines({
          soon: [
            byHand('zone token', 'west', nowMs + 5 * hour),
            intermediate('default', 'west', nowMs + 30 * hour, nowMs - 40 * 24 * hour),
            byHand('server certificate', 'the global', nowMs - hour, { remedy: restart }),
            byHand('server certificate', 'the global', nowMs + 99 * 24 * hour, {
              start: { atMs: nowMs + hour, remedy: restart },
            }),
          ],
          waits: [
            {
              mesh: 'default',
              reason: 'the authority "ca-2" signs when all proxies trust it: it waits for zone west',
            },
          ],
        }),
      ],
      [
        'fields that are not served, and rows that cannot be parsed',
        globalLines({
          report: {
            unserved: [{ kind: 'Mesh', mesh: '', name: 'default', origin: 'global', warning: 'metrics is not served' }],
            unparsed: [
              { kind: 'Timeout', mesh: 'default', name: 'slow', origin: 'global', reason: 'conf: has to be defined' },
            ],
            unparsedTotal: 3,
          },
        }),
      ],
      ['the file of the store was deleted', globalLines({ fault: lostStore })],
    ]),
  )
})

test('B91 status of a zone equals its golden text', async () => {
  const proxies = ['gateway-1', 'web-1', 'web-2'].map((name) => `east/Dataplane/default/${name}`)
  const shop = 'global/MeshGateway/default/shop'
  expectPage(
    'status-zone',
    await screens('zonemesh status --address http://127.0.0.1:5681', [
      ['the zone is current', zoneLines({})],
      ['no proxy', zoneLines({ proxies: [] })],
      ['a zone without a global', zoneLines({ isStandalone: true })],
      ['the zone is behind', zoneLines({ uplink: { globalMark: 26 } })],
      ['the zone holds a change', zoneLines({ uplink: { hold } })],
      [
        'the global cannot be reached',
        zoneLines({
          uplink: { phase: 'waiting', reason: 'connect ECONNREFUSED 127.0.0.1:5685', bookmarkAtMs: -Infinity },
        }),
      ],
      ['the global refuses the zone', zoneLines({ uplink: { phase: 'refused', reason: otherGlobal } })],
      ['the clock of the global is ahead', zoneLines({ uplink: { clockAheadMs: 95_000 } })],
      [
        'one proxy is suspect and one is offline',
        zoneLines({ proxies, suspect: proxies.slice(1, 2), offline: proxies.slice(2) }),
      ],
      ['proxies were lost at once', zoneLines({ proxies, lost: proxies })],
      [
        'an Envoy refuses a route, a row is left out, and a listener lacks its certificate',
        zoneLines({
          refusals: [{ source: badRoute.key, reason: badRoute.reason, proxy: gateway }],
          quarantined: [{ source: 'global/Timeout/default/slow', reason: 'conf.connectTimeout: expected a duration' }],
          problems: {
            [gateway]: [
              {
                source: shop,
                reason: 'listener HTTPS:8443:*: secret "shop" does not exist, or has not arrived yet',
              },
            ],
          },
        }),
      ],
      [
        'the certificate of a proxy expires',
        zoneLines({
          soon: [workload('web in mesh default', { issuedAtMs: nowMs - 23 * hour, notAfterMs: nowMs + hour })],
        }),
      ],
      ['the file of the store was deleted', zoneLines({ fault: lostStore.replaceAll('global', 'zone-east') })],
    ]),
  )
})
