import { spanMs } from '@zonemesh/core/kinds/common.ts'
import { count, positiveDuration as duration, option, text } from '@zonemesh/plane/config/options.ts'
import { z } from 'zod'
import { CommandError, type Context, defineCommand, type ExitCode } from '../base/command.ts'
import {
  clockJump,
  type Fault,
  findFaketime,
  flap,
  halfOpen,
  kill,
  late,
  loss,
  partition,
  pause,
  restoreOldStore,
  slow,
} from '../chaos/faults/faults.ts'
import { flushRedis } from '../chaos/faults/flush.ts'
import { shiftPartClock } from '../chaos/faults/part-clock.ts'
import { stopPart } from '../chaos/faults/part-faults.ts'
import { killTarget, pauseTarget } from '../chaos/faults/target-faults.ts'
import { planesOf } from '../chaos/injector.ts'
import { type RunValues, runFaults, runOptions } from '../chaos/run-faults.ts'
import { findStack } from '../chaos/stack.ts'
import type { Target } from '../chaos/targets.ts'
import { readRate } from '../chaos/words.ts'

const forOption = (shownDefault: string) =>
  option(duration.default(spanMs(shownDefault) ?? 0), 'how long the fault lasts', {
    placeholder: 'TIME',
    shownDefault,
  })

/** Injects the fault of a plane, or that of another part of the stack with this name. */
async function runOn(
  values: RunValues,
  context: Context,
  how: 'kill' | 'pause',
  forMs: number,
  faults: {
    readonly plane: (role: string, forMs: number) => Fault
    readonly other: (target: Target, forMs: number) => Fault
  },
): Promise<ExitCode> {
  const [role = ''] = context.positionals
  const stack = await findStack(values)
  const { scene } = stack
  const target = scene.targets.find(({ name }) => name === role)
  const planes = planesOf(stack)
  if (!target && !planes.includes(role)) {
    const others = scene.targets.map(({ name }) => name).join(', ')
    const more = others === '' ? '' : `; proxies and services: ${others}`
    throw new CommandError(`unknown plane "${role}"; planes of this stack: ${planes.join(', ')}${more}`, 2)
  }
  if (target?.sharesNetwork === true && how === 'kill')
    return refuse(context, `other containers use the network of ${role}, and a new process would have another one`)
  const part = stack.parts.find(({ name }) => name === role)
  if (part) return runFaults(values, context, [stopPart(how, part, forMs)])
  return runFaults(values, context, [target ? faults.other(target, forMs) : faults.plane(role, forMs)])
}

/** Reports a fault that this stack does not support. */
function refuse(context: Context, reason: string): ExitCode {
  context.note(`zonemesh chaos: ${reason}; nothing was done`)
  return 3
}

/** Injects a fault that replaces the process or the file of the only global. */
async function runOnGlobal(values: RunValues, context: Context, fault: Fault): Promise<ExitCode> {
  const hasOne = (await findStack(values)).parts.every(({ kind }) => kind !== 'global')
  if (hasOne) return runFaults(values, context, [fault])
  return refuse(context, 'expected one global with a store of its own, found globals over one database')
}

export const chaosPartition = defineCommand({
  name: 'chaos partition',
  summary: 'drop all bytes between a zone and the global, and check the guarantees',
  usage: 'ZONE [--for TIME] [--direction both|up|down]',
  examples: ['zonemesh chaos partition east --for 60s', 'zonemesh chaos partition west --for 12s --direction up'],
  arity: { min: 1, max: 1 },
  options: {
    for: forOption('60s'),
    direction: option(
      z.enum(['both', 'up', 'down']).default('both'),
      'the direction to drop: both, up (to the global), down',
      {
        placeholder: 'WAY',
        shownDefault: 'both',
      },
    ),
    ...runOptions,
  },
  run: (values, context) =>
    runFaults(values, context, [partition(context.positionals[0] ?? '', values.for, values.direction)]),
})

export const chaosKill = defineCommand({
  name: 'chaos kill',
  summary: 'kill a plane, a proxy or a service, start it again, and check the guarantees',
  usage: 'ROLE [--for TIME]',
  examples: ['zonemesh chaos kill global --for 5s', 'zonemesh chaos kill zone-east', 'zonemesh chaos kill gateway-1'],
  arity: { min: 1, max: 1 },
  options: { for: forOption('5s'), ...runOptions },
  run: (values, context) => runOn(values, context, 'kill', values.for, { plane: kill, other: killTarget }),
})

export const chaosPause = defineCommand({
  name: 'chaos pause',
  summary: 'pause a plane, a proxy or a service, and check the guarantees',
  usage: 'ROLE [--for TIME]',
  examples: ['zonemesh chaos pause global --for 5s', 'zonemesh chaos pause ingress-west --for 5s'],
  arity: { min: 1, max: 1 },
  options: { for: forOption('5s'), ...runOptions },
  run: (values, context) => runOn(values, context, 'pause', values.for, { plane: pause, other: pauseTarget }),
})

export const chaosDisconnect = defineCommand({
  name: 'chaos disconnect',
  summary: 'take a container off its networks, and check the guarantees',
  usage: 'ROLE [--for TIME]',
  examples: ['zonemesh chaos disconnect postgres --for 10s --compose zonemesh'],
  arity: { min: 1, max: 1 },
  options: { for: forOption('5s'), ...runOptions },
  async run(values, context) {
    const [role = ''] = context.positionals
    const { parts, compose } = await findStack(values)
    if (compose === undefined || parts.length === 0)
      return refuse(context, 'this stack has no containers with networks of their own')
    const part = parts.find(({ name }) => name === role)
    if (part) return runFaults(values, context, [stopPart('disconnect', part, values.for)])
    throw new CommandError(
      `unknown container "${role}"; containers that can be disconnected: ${parts.map(({ name }) => name).join(', ')}`,
      2,
    )
  },
})

export const chaosHalfOpen = defineCommand({
  name: 'chaos half-open',
  summary: 'replace the global while the connection of a zone stays half-open, and check the guarantees',
  usage: 'ZONE',
  examples: ['zonemesh chaos half-open east'],
  arity: { min: 1, max: 1 },
  options: runOptions,
  run: (values, context) => runOnGlobal(values, context, halfOpen(context.positionals[0] ?? '')),
})

export const chaosFlap = defineCommand({
  name: 'chaos flap',
  summary: 'interrupt the line of a zone repeatedly, and check the guarantees',
  usage: 'ZONE [--every TIME] [--times N]',
  examples: ['zonemesh chaos flap west --every 2s --times 10'],
  arity: { min: 1, max: 1 },
  options: {
    every: option(duration.default(2_000), 'how long the line is down, and then up', {
      placeholder: 'TIME',
      shownDefault: '2s',
    }),
    times: option(count(1, 1_000).default(5), 'how often the line goes down', {
      placeholder: 'N',
      shownDefault: '5',
    }),
    ...runOptions,
  },
  run: (values, context) =>
    runFaults(values, context, [flap(context.positionals[0] ?? '', values.every, values.times)]),
})

export const chaosSlow = defineCommand({
  name: 'chaos slow',
  summary: 'limit the rate between a zone and the global, and check the guarantees',
  usage: 'ZONE RATE [--for TIME]',
  examples: ['zonemesh chaos slow east 4kb/s --for 30s'],
  arity: { min: 2, max: 2 },
  options: { for: forOption('30s'), ...runOptions },
  async run(values, context) {
    const [zone = '', rateText = ''] = context.positionals
    const rate = readRate(rateText)
    if (rate === undefined) throw new CommandError(`expected a rate such as 4kb/s or 800b/s, found "${rateText}"`, 2)
    return runFaults(values, context, [slow(zone, rate, values.for)])
  },
})

export const chaosDelay = defineCommand({
  name: 'chaos delay',
  summary: 'delay the line between a zone and the global, and check the guarantees',
  usage: 'ZONE DELAY [--jitter TIME] [--for TIME]',
  examples: ['zonemesh chaos delay west 300ms --jitter 100ms --for 20s'],
  arity: { min: 2, max: 2 },
  options: {
    for: forOption('20s'),
    jitter: option(duration.optional(), 'the maximum random delay in addition', {
      placeholder: 'TIME',
    }),
    ...runOptions,
  },
  async run(values, context) {
    const [zone = '', delayText = ''] = context.positionals
    const delayMs = spanMs(delayText)
    if (delayMs === undefined || delayMs === 0)
      throw new CommandError(`expected a time such as 300ms, found "${delayText}"`, 2)
    return runFaults(values, context, [late(zone, delayMs, values.jitter ?? 0, values.for)])
  },
})

export const chaosLoss = defineCommand({
  name: 'chaos loss',
  summary: 'lose packets between a zone and the global, and check the guarantees',
  usage: 'ZONE PERCENT [--for TIME]',
  examples: ['zonemesh chaos loss west 20% --for 30s'],
  arity: { min: 2, max: 2 },
  options: { for: forOption('30s'), ...runOptions },
  async run(values, context) {
    const [zone = '', percentText = ''] = context.positionals
    const percent = /^\d+(\.\d+)?%$/.test(percentText) ? Number.parseFloat(percentText) : 0
    if (percent <= 0 || percent > 90)
      throw new CommandError(`expected a percentage from 1% to 90%, found "${percentText}"`, 2)
    return runFaults(values, context, [loss(zone, percent, values.for)])
  },
})

export const chaosFlush = defineCommand({
  name: 'chaos flush',
  summary: 'remove all keys from Redis, and check the guarantees',
  usage: '',
  examples: ['zonemesh chaos flush --compose zonemesh'],
  arity: { min: 0, max: 0 },
  options: runOptions,
  async run(values, context) {
    const redis = (await findStack(values)).parts.find(({ kind }) => kind === 'redis')
    if (!redis) return refuse(context, 'this stack has no Redis')
    return runFaults(values, context, [flushRedis(redis)])
  },
})

export const chaosClock = defineCommand({
  name: 'chaos clock',
  summary: 'give a plane another wall clock (needs libfaketime), and check the guarantees',
  usage: 'ROLE +TIME|--by -TIME [--for TIME]',
  examples: ['zonemesh chaos clock zone-east +1h', 'zonemesh chaos clock global --by -10m --for 20s'],
  arity: { min: 1, max: 2 },
  options: {
    for: forOption('10s'),
    by: option(text.optional(), 'how far the clock jumps; needed for a negative TIME, which cannot be an argument', {
      placeholder: 'TIME',
    }),
    library: option(text.optional(), 'the path of libfaketime.so.1, if it is not in a default folder', {
      placeholder: 'FILE',
    }),
    ...runOptions,
  },
  async run(values, context) {
    const [role = '', word = ''] = context.positionals
    const byText = values.by ?? word
    const ms = spanMs(byText.replace(/^[+-]/, ''))
    if (ms === undefined || !/^[+-]/.test(byText))
      throw new CommandError(`expected how far the clock jumps, such as +1h or -10m, found "${byText}"`, 2)
    const by = byText.startsWith('-') ? -ms : ms
    const { compose, parts } = await findStack(values)
    const part = parts.find(({ name, kind }) => name === role && (kind === 'global' || kind === 'zone'))
    if (part) return runFaults(values, context, [shiftPartClock(part, byText, by, values.for)])
    if (compose !== undefined && parts.length === 0)
      return refuse(context, 'the planes of this stack are containers that do not preload libfaketime')
    if (compose !== undefined) {
      const planes = parts.filter(({ kind }) => kind === 'global' || kind === 'zone').map(({ name }) => name)
      throw new CommandError(`unknown plane "${role}"; planes of this stack: ${planes.join(', ')}`, 2)
    }
    const library = findFaketime(values.library)
    if (library === undefined) {
      context.note('zonemesh chaos clock: libfaketime is not installed (apt-get install libfaketime); nothing was done')
      return 3
    }
    return runFaults(values, context, [clockJump(role, byText, by, values.for, library)])
  },
})

export const chaosRestore = defineCommand({
  name: 'chaos restore-old-store',
  summary: "replace the global's store by an older copy: zones must hold it and lose no rows until they are released",
  usage: '',
  examples: ['zonemesh chaos restore-old-store'],
  arity: { min: 0, max: 0 },
  options: runOptions,
  run: (values, context) => runOnGlobal(values, context, restoreOldStore()),
})
