import { clockDifferenceMaxMs } from '@zonemesh/plane/status/clocks.ts'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { version } from '@zonemesh/shared/base/version.ts'
import { type Client, type Reply, requireFields, UnreachableError } from '../base/client.ts'
import { missingIn } from '../output/missing.ts'
import { duration, part, rows, text } from '../output/show-status.ts'
import { type Finding, failed, ok, warning } from './finding.ts'

/** The header Date has whole seconds, so smaller differences are not seen. */
const clockNoticeMs = 5_000
const tokenWarnMs = 7 * 86_400_000

/** The control plane to check. */
export interface PlaneToCheck {
  readonly client: Client
  /** The user or a scene named the plane. Otherwise it is no fault that none runs yet. */
  readonly isExpected: boolean
}

/** What a plane answers, as findings. `answered` is false if none runs there. */
export async function checkPlane({ client, isExpected }: PlaneToCheck, nowMs: () => number) {
  try {
    return { answered: true, findings: await askPlane(client, nowMs) }
  } catch (thrown) {
    const isAbsent = thrown instanceof UnreachableError && !isExpected
    return {
      answered: false,
      findings: isAbsent
        ? [ok('control plane', `none runs at ${client.address} yet`)]
        : [failed('control plane', messageOf(thrown), 'start it, or name another with --address or --context')],
    }
  }
}

async function askPlane(client: Client, nowMs: () => number): Promise<readonly Finding[]> {
  const before = nowMs()
  const index = await client.need('GET', '/')
  const answeredMs = (before + nowMs()) / 2
  const status = await client.need('GET', '/_status')
  requireFields(client, status, ['role', 'revision'])
  // The plane answers with objects.
  const [about, state] = [index.json as JsonObject, status.json as JsonObject]
  return [versionFinding(client.address, about), clockFinding(index, answeredMs), ...statusFindings(state)]
}

function versionFinding(address: string, index: JsonObject): Finding {
  const found = text(index['version']).replace(/-preview$/, '')
  const shown = `${text(index['mode'])} control plane ${found} at ${address}`
  return found === version
    ? ok('control plane', shown)
    : warning('control plane', `${shown}; this command is ${version}`, 'use a command of the same version')
}

function clockFinding({ headers }: Reply, nowMs: number): Finding {
  const theirs = Date.parse(String(headers['date']))
  if (Number.isNaN(theirs)) return ok('clock', 'the control plane reports no time')
  // The header is cut to seconds, so on average it is half a second behind.
  const aheadMs = theirs + 500 - nowMs
  const found = `the control plane is ${duration(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine`
  const remedy = 'set both clocks by a time service: certificates and tokens fail otherwise'
  if (Math.abs(aheadMs) > clockDifferenceMaxMs) return failed('clock', found, remedy)
  return Math.abs(aheadMs) > clockNoticeMs
    ? warning('clock', found, remedy)
    : ok('clock', 'as that of the control plane')
}

/** Judges the response of `GET /_status`: zones, clocks of zones, and what expires. */
export function statusFindings(status: JsonObject): readonly Finding[] {
  const missing = missingIn(status)
  const clocks = [...rows(status['zones']), part(status['uplink'])].filter((one) => one['clockAheadMs'] !== undefined)
  const expiring = rows(status['expiring'])
  const notYetValid = rows(status['notYetValid'])
  return [
    ...missing.map((one) => failed('zones', one, 'see `zonemesh status`')),
    ...(missing.length === 0 ? [ok('zones', 'all are current, and serve what is written')] : []),
    ...clocks.map((one) =>
      warning(
        'clock',
        `${one['zone'] === undefined ? 'the global' : `zone ${text(one['zone'])}`} differs by ${duration(Math.abs(Number(one['clockAheadMs'])))}`,
        'set both clocks by a time service',
      ),
    ),
    ...expiring.map(({ what, who, ends, endsInMs }) => {
      const found = `${text(what)} of ${text(who)}: ${text(ends)}`
      return Number(endsInMs) > 0
        ? warning('expiry', found, 'renew it before then')
        : failed('expiry', `${found}, which has passed`, 'renew it')
    }),
    ...notYetValid.map(({ what, who, begins, remedy }) =>
      failed('expiry', `${text(what)} of ${text(who)} is not valid before ${text(begins)}`, text(remedy)),
    ),
    ...(expiring.length + notYetValid.length === 0 ? [ok('expiry', 'no certificate or token expires soon')] : []),
  ]
}

/** Judges the token of this user, which a command sends. Its content is shown to nobody. */
export function tokenFindings(token: string | undefined, nowMs: number): readonly Finding[] {
  if (token === undefined) return []
  const endsAtMs = expiryOf(token)
  if (endsAtMs === undefined)
    return [warning('token', 'it is no token with an expiry', 'check --token and --token-file')]
  const at = new Date(endsAtMs).toISOString()
  const remedy = 'ask an administrator for another: `zonemesh token user NAME`'
  if (endsAtMs <= nowMs) return [failed('token', `your token has expired at ${at}`, remedy)]
  return endsAtMs - nowMs < tokenWarnMs
    ? [warning('token', `your token expires at ${at}`, remedy)]
    : [ok('token', `valid until ${at}`)]
}

function expiryOf(token: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const seconds: unknown = claims !== null && typeof claims === 'object' ? Reflect.get(claims, 'exp') : undefined
    return typeof seconds === 'number' ? seconds * 1_000 : undefined
  } catch {
    return undefined
  }
}
