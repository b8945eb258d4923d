import { option, positiveDuration, toggle } from '@zonemesh/plane/config/options.ts'
import { type JsonObject, messageOf } from '@zonemesh/shared/base/base.ts'
import { systemClock } from '@zonemesh/shared/env/clock.ts'
import { nextChange } from '../base/changes.ts'
import { type Client, clientOptions, createClient, requireFields, UnreachableError } from '../base/client.ts'
import { CommandError, type Context, defineCommand, type ExitCode } from '../base/command.ts'
import { tableOrJson } from '../base/output-form.ts'
import { findSceneHere, type RunningState } from '../base/running-scene.ts'
import { missingIn } from '../output/missing.ts'
import { createProgress, createScreen } from '../output/screen.ts'
import { duration, showStatus } from '../output/show-status.ts'
import { table } from '../output/table.ts'
import { jsonText } from '../output/terminal-text.ts'

export const status = defineCommand({
  name: 'status',
  summary:
    'show zones and proxies: who is behind, what is held back or quarantined, what was refused and why, and which fields are not served yet',
  usage: '[-o table|json] [--wait [--timeout DURATION] | --watch]',
  examples: [
    'zonemesh status',
    'zonemesh status --address http://localhost:5681 -o json',
    'zonemesh status --wait --timeout 2m',
    'zonemesh status --watch',
  ],
  arity: { min: 0, max: 0 },
  options: {
    output: tableOrJson,
    json: option(toggle.default(false), 'the same as --output json'),
    wait: option(
      toggle.default(false),
      'wait until the plane answers, its zones are current, their proxies are connected, and all is served as written; exit code 1 if this is not so within --timeout',
    ),
    timeout: option(positiveDuration.prefault('60s'), 'how long --wait waits', {
      placeholder: 'DURATION',
      shownDefault: '60s',
    }),
    watch: option(toggle.default(false), 'show it again after each change, until Ctrl-C'),
    ...clientOptions,
  },
  async run(values, context) {
    if (values.wait && values.watch) throw new CommandError('expected --wait or --watch, found both', 2)
    const client = createClient(values)
    const isJson = values.json || values.output === 'json'
    const show = (body: JsonObject) => {
      for (const line of isJson ? [jsonText(body)] : statusLines(client, body)) context.print(line)
    }
    if (values.watch) return watch(client, isJson, context)
    if (values.wait) return wait(client, values.timeout, show, context)
    show(await readStatus(client))
    return 0
  },
})

async function readStatus(client: Client): Promise<JsonObject> {
  const reply = await client.need('GET', '/_status')
  requireFields(client, reply, ['role', 'revision'])
  // The plane answers with an object.
  return reply.json as JsonObject
}

function statusLines(client: Client, body: JsonObject): readonly string[] {
  const lines: string[] = []
  showStatus({ print: (line) => void lines.push(line) }, body)
  const running = findSceneHere()
  return running?.globalAddress === client.address ? [...lines, ...processLines(running)] : lines
}

/** Waits until nothing is missing, then shows the status. A plane that does not answer yet is missing, too. */
async function wait(
  client: Client,
  limitMs: number,
  show: (body: JsonObject) => void,
  context: Context,
): Promise<ExitCode> {
  const endMs = systemClock.monotonicMs() + limitMs
  const progress = createProgress(context)
  for (;;) {
    const body = await readStatus(client).catch(unlessUnreachable)
    const missing = body instanceof Error ? [body.message] : missingIn(body)
    if (missing.length > 0 && systemClock.monotonicMs() < endMs && !context.signal.aborted) {
      progress.show(`waiting: ${missing.join('; ')}`)
      await nextChange(systemClock, context.signal).catch(() => undefined)
      continue
    }
    progress.end()
    if (!(body instanceof Error)) show(body)
    if (missing.length === 0) return 0
    context.note(context.signal.aborted ? 'stopped; missing:' : `not within ${duration(limitMs)}; missing:`)
    for (const one of missing) context.note(`  ${one}`)
    return 1
  }
}

function unlessUnreachable(thrown: unknown): UnreachableError {
  if (thrown instanceof UnreachableError) return thrown
  throw thrown
}

/** Shows the status after each change until the signal. Times alone are no change, except on a terminal. */
async function watch(client: Client, isJson: boolean, { print, signal }: Context): Promise<ExitCode> {
  const screen = createScreen({ print })
  let before: string | undefined
  while (!signal.aborted) {
    const body = await readStatus(client).catch((thrown: unknown) => messageOf(thrown))
    const state = typeof body === 'string' ? body : withoutTimes(body)
    if (state !== before || screen.isTerminal)
      screen.show(typeof body === 'string' ? [body] : isJson ? [jsonText(body)] : statusLines(client, body))
    before = state
    await nextChange(systemClock, signal).catch(() => undefined)
  }
  return 0
}

const withoutTimes = (body: JsonObject): string =>
  JSON.stringify(body, (name, value: unknown) => (/Ms(Ago)?$/.test(name) ? undefined : value))

/** The states of a process of a scene. */
export const processStates = ['runs', 'starts again'] as const

/** The processes that `zonemesh up` runs in this folder. */
function processLines({ processes }: RunningState): readonly string[] {
  const nowMs = Date.now()
  const rows = processes.map(({ name, pid, startedAtMs, restarts }) => [
    name,
    processStates[pid === 0 ? 1 : 0],
    pid === 0 ? '-' : String(pid),
    duration(nowMs - startedAtMs),
    String(restarts),
  ])
  return ['', ...table(['process', 'state', 'pid', 'since', 'restarts'], rows)]
}
