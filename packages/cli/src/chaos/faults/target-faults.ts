import { connect } from 'node:net'
import type { Scene } from '../scene.ts'
import { passes, pathOf, type Target } from '../targets.ts'
import { type Allowance, type Fault, ledger, seconds } from './faults.ts'
import { pidOf } from './part-faults.ts'

/** After the return of a target, Envoys need this time to connect to it again. */
const reconnectMs = 2_000
/** A proxy without a stream keeps its row for the lease of 30 s. Then no request may be sent to it. */
const removedAfterMs = 30_000 + reconnectMs

/** The times of one fault: stopping began and was done, starting began, and the target was back. */
interface Course {
  beganMs: number
  stoppedMs: number
  startingMs: number
  returnedMs: number
}

/** Kills a proxy with its Envoy, or closes the listener of a service, and starts it again. */
export function killTarget(one: Target, forMs: number): Fault {
  const course = emptyCourse()
  let [before, after] = [0, 0]
  let refused = ''
  return {
    title: `kill ${one.name} for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      before = await pidOf(scene, one.name)
      course.beganMs = scene.recorder.now()
      await scene.injector.end(one.name, 'SIGKILL')
      course.stoppedMs = scene.recorder.now()
      if (one.address !== undefined) refused = await connectionError(one.address)
      await scene.wait(forMs)
      course.startingMs = scene.recorder.now()
      await scene.injector.start(one.name)
      after = await pidOf(scene, one.name)
      await untilReturned(scene, one, course)
      return []
    },
    prove(scene, fromMs, healedAtMs) {
      const book = ledger()
      if (one.kind === 'service') {
        const refusal = `the listener of ${one.name} (${one.address}) refused connections: ${refused}`
        book.expect(refused !== '', refusal, `the listener of ${one.name} (${one.address}) accepted a connection`)
      } else {
        const text = `process of ${one.name}: ${before} → ${after}`
        book.expect(before !== after && before > 0 && after > 0, text, `${text}, expected a new process`)
        expectReported(scene, one, fromMs, healedAtMs, book)
      }
      expectSilence(scene, one, course, book)
      return {
        ...book,
        allowances: allowancesOf(scene, one, course, one.kind === 'service' ? undefined : removedAfterMs),
      }
    },
  }
}

/** Pauses a proxy with its Envoy, or a service: connections stay open, and nothing is answered. */
export function pauseTarget(one: Target, forMs: number): Fault {
  const course = emptyCourse()
  return {
    title: `pause ${one.name} for ${seconds(forMs)}`,
    forMs,
    async run(scene) {
      if (pathsThrough(scene, one, 'always').length === 0)
        throw scene.misuse(
          `no request of a run must pass ${one.name}, so nothing would show that it is paused; \`zonemesh chaos kill ${one.name}\` is possible`,
        )
      course.beganMs = scene.recorder.now()
      await scene.injector.pause(one.name)
      course.stoppedMs = scene.recorder.now()
      await scene.wait(forMs)
      course.startingMs = scene.recorder.now()
      await scene.injector.resume(one.name)
      await untilReturned(scene, one, course)
      return []
    },
    prove(scene) {
      const book = ledger()
      expectSilence(scene, one, course, book)
      return { ...book, allowances: allowancesOf(scene, one, course, undefined) }
    },
  }
}

const emptyCourse = (): Course => ({ beganMs: 0, stoppedMs: 0, startingMs: 0, returnedMs: Number.POSITIVE_INFINITY })

/** A proxy is back when its zone reports it as connected, and a service when its listener is open. */
async function untilReturned(scene: Scene, one: Target, course: Course): Promise<void> {
  const isConnected = async () =>
    scene.recorder.zone(one.zone, course.startingMs).at(-1)?.proxies[one.proxy ?? ''] === 'connected'
  if (one.proxy !== undefined)
    await scene.until(`zone ${one.zone} reports ${one.name} as connected`, isConnected, scene.convergeMs)
  course.returnedMs = scene.recorder.now()
}

const pathsThrough = ({ stack }: Scene, one: Target, how: 'always' | 'sometimes'): string[] =>
  stack.scene.services.filter((to) => passes(stack.scene, one, to) === how).map(pathOf)

/** Expects that the zone of a proxy noticed its end. */
function expectReported(
  { recorder }: Scene,
  { name, zone, proxy = '' }: Target,
  fromMs: number,
  healedAtMs: number,
  book: ReturnType<typeof ledger>,
): void {
  const samples = recorder.zone(zone, fromMs, healedAtMs).filter(({ answered }) => answered)
  const lost = samples.find(({ proxies }) => proxies[proxy] !== 'connected')
  book.expect(
    lost !== undefined,
    `zone ${zone} reported ${name} after ${seconds((lost?.atMs ?? 0) - fromMs)} as ${lost?.proxies[proxy] ?? 'absent'}`,
    `zone ${zone} always reported ${name} as connected`,
  )
}

/** Expects that no request was answered that had to pass the target while it was stopped. */
function expectSilence(scene: Scene, one: Target, course: Course, book: ReturnType<typeof ledger>): void {
  const paths = pathsThrough(scene, one, 'always')
  if (paths.length === 0) return
  const answered = scene.recorder
    .history()
    .filter(
      (event) =>
        event.type === 'request' &&
        event.ok &&
        paths.includes(event.to) &&
        (event.startedAtMs ?? 0) >= course.stoppedMs &&
        event.atMs <= course.startingMs,
    ).length
  const rest = `to ${paths.join(', ')} was answered while ${one.name} was stopped`
  book.expect(
    answered === 0,
    `no request ${rest}`,
    `${answered} requests ${rest.replace('was', 'were')}, expected none`,
  )
}

/** What a request may suffer from this fault. All other requests must succeed. */
function allowancesOf(
  scene: Scene,
  one: Target,
  { beganMs, returnedMs }: Course,
  endpointMs: number | undefined,
): readonly Allowance[] {
  const untilMs = returnedMs + reconnectMs
  const removedMs = endpointMs === undefined ? untilMs : Math.min(untilMs, beganMs + endpointMs)
  const after = `until ${seconds(reconnectMs)} after its return`
  const always: Allowance = {
    paths: pathsThrough(scene, one, 'always'),
    ...{ fromMs: beganMs, untilMs, why: `they had to pass ${one.name}, ${after}` },
  }
  const sometimes: Allowance = {
    paths: pathsThrough(scene, one, 'sometimes'),
    ...{ fromMs: beganMs, untilMs: removedMs },
    why: `they could be sent to ${one.name}, ${after}${endpointMs === undefined ? '' : ` or ${seconds(endpointMs)} after its end`}`,
  }
  return [always, sometimes].filter(({ paths }) => paths.length > 0)
}

/** The reason why a connection fails; empty if it is accepted. */
function connectionError(address: string): Promise<string> {
  const [host = '', port = ''] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect(Number(port), host)
    const end = (reason: string) => {
      socket.destroy()
      resolve(reason)
    }
    socket.once('connect', () => end(''))
    socket.once('error', (error) => end(error.message))
  })
}
