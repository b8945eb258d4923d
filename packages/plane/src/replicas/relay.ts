import { err, type JsonObject, messageOf, type Result } from '@zonemesh/shared/base/base.ts'
import { type Clock, repeat } from '@zonemesh/shared/env/clock.ts'
import type { Log } from '@zonemesh/shared/env/log.ts'
import type { Random } from '@zonemesh/shared/env/random.ts'
import { createTurns } from '@zonemesh/shared/env/turns.ts'
import { type QueryFailure, queryMaxMs } from '@zonemesh/shared/query/query.ts'
import type { Notes } from '@zonemesh/shared/store/store.ts'
import type { Sealer } from '../authority/seal.ts'

type Answer = Result<JsonObject, QueryFailure>

interface Deps {
  readonly notes: Notes
  readonly clock: Clock
  readonly log: Log
  readonly random: Pick<Random, 'uuid'>
  /** All replicas of a plane have the same key. A letter that it did not seal is not from a replica. */
  readonly sealer: Sealer
}

/** Answers the questions of the other replicas, by name. */
export type RelayHandlers = Readonly<Record<string, (request: JsonObject, signal: AbortSignal) => Promise<Answer>>>

export interface Relay extends AsyncDisposable {
  /** Asks another replica. Resolves with its answer, or with the reason why there is none, after 10 s at most. */
  ask(replica: string, name: string, request: JsonObject, signal: AbortSignal): Promise<Answer>
}

/** How often the letters are read without a wake-up: while an answer is awaited, and else. */
const lookEveryMs = { waiting: 100, idle: 1_000 }
/** The wake-ups of this time share a read. */
const gatherMs = 5
/** Further questions are refused as busy. */
const atOnceMax = 8
/** A letter that was left by a process that has died is removed after this time. */
const lettersStayMs = 3_600_000

const prefix = 'mail/'
const boxOf = (replica: string): string => `${prefix}${replica}/`

/** A letter in the box of its reader. */
interface Letter {
  readonly atMs: number
  /** The sealed JSON text of a question or an answer. */
  readonly sealed: string
}
interface Question {
  readonly from: string
  readonly name: string
  readonly request: JsonObject
}

/**
 * Lets the replicas of a plane ask each other, by notes in their store: a session or a proxy is connected to one of
 * them, and a user asks any. Letters are sealed, so no one who only reads or writes the database reads or forges one.
 */
export function joinRelay(deps: Deps, instance: string, handlers: RelayHandlers): Relay {
  const { notes, clock, log } = deps
  const mailbox = createMailbox(deps, instance)
  const waiting = new Map<string, (answer: Answer) => void>()
  const answering = createAnswering(deps, mailbox, handlers)
  let lookedAtMs = Number.NEGATIVE_INFINITY

  async function look(): Promise<void> {
    lookedAtMs = clock.monotonicMs()
    for (const { name, kind, id, content } of await mailbox.read()) {
      // `post` of another process has sealed the content.
      if (kind === 'ask' && content !== undefined) void answering.answer(name, id, content as Question)
      else {
        await mailbox.drop(name)
        if (content !== undefined) waiting.get(id)?.(content as Answer)
      }
    }
  }

  const turns = createTurns(clock, gatherMs, () =>
    look().catch((cause: unknown) => {
      log.debug({ reason: messageOf(cause) }, 'cannot read the letters of other replicas; trying again')
    }),
  )
  const woken = notes.onWake(turns.soon)
  const polling = repeat(clock, lookEveryMs.waiting, () => {
    const everyMs = waiting.size > 0 ? lookEveryMs.waiting : lookEveryMs.idle
    return clock.monotonicMs() - lookedAtMs >= everyMs ? turns.run() : undefined
  })
  void removeOld(deps).catch(() => undefined)

  return {
    async ask(replica, name, request, signal) {
      const id = deps.random.uuid()
      const { promise, resolve } = Promise.withResolvers<Answer>()
      waiting.set(id, resolve)
      const late = () => resolve(err({ code: 'late', reason: `the replica ${replica} did not answer within 10 s` }))
      const left = () => resolve(err({ code: 'cancelled', reason: 'the caller has left' }))
      using _limit = clock.after(queryMaxMs, late)
      signal.addEventListener('abort', left, { once: true })
      try {
        await mailbox.post(replica, `ask/${id}`, { from: instance, name, request } satisfies Question)
        return await promise
      } catch (cause) {
        return err({ code: 'failed', reason: `cannot ask the replica ${replica}: ${messageOf(cause)}` })
      } finally {
        signal.removeEventListener('abort', left)
        waiting.delete(id)
        // A replica that has answered has removed it already.
        mailbox.drop(`${boxOf(replica)}ask/${id}`).catch(() => undefined)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const one of [woken, polling, turns]) one[Symbol.dispose]()
      answering.stop()
      await turns.idle()
    },
  }
}

/** Answers letters. A question stays in the box until its answer is there, and is answered once. */
function createAnswering({ clock, log }: Deps, mailbox: ReturnType<typeof createMailbox>, handlers: RelayHandlers) {
  const running = new Map<string, AbortController>()
  return {
    /** The handler runs while further letters are read. */
    async answer(name: string, id: string, question: Question): Promise<void> {
      if (running.has(id)) return
      const stop = new AbortController()
      running.set(id, stop)
      using _limit = clock.after(queryMaxMs, () => stop.abort())
      try {
        const given = await answerTo(handlers, question, running.size, stop.signal)
        await mailbox.post(question.from, `answer/${id}`, given, name)
      } catch (cause) {
        log.debug({ reason: messageOf(cause), replica: question.from }, 'cannot answer another replica')
      } finally {
        running.delete(id)
      }
    },
    stop(): void {
      for (const stop of running.values()) stop.abort()
    },
  }
}

async function answerTo(
  handlers: RelayHandlers,
  { name, request }: Question,
  running: number,
  signal: AbortSignal,
): Promise<Answer> {
  const handler = handlers[name]
  if (!handler) return err({ code: 'unknown', reason: `this replica does not know the question "${name}"` })
  if (running > atOnceMax) return err({ code: 'busy', reason: 'this replica answers too many questions' })
  return handler(request, signal).catch((cause: unknown) => err({ code: 'failed', reason: messageOf(cause) }))
}

/** The letters of a process: notes in a box with its name. */
function createMailbox({ notes, clock, sealer }: Deps, instance: string) {
  const box = boxOf(instance)
  return {
    post(to: string, name: string, content: object, dropped?: string): Promise<void> {
      const letter = { atMs: Math.floor(clock.wallMs()), sealed: sealer.seal(JSON.stringify(content)) }
      const drop = dropped === undefined ? [] : [{ name: dropped, value: undefined }]
      return notes.put([{ name: boxOf(to) + name, value: letter }, ...drop], { wake: true })
    },
    drop: (name: string): Promise<void> => notes.put([{ name, value: undefined }]),
    /** The letters in the box. The content is undefined if no replica has sealed it. */
    async read() {
      return [...(await notes.read(box))].map(([name, value]) => {
        const [kind, id = ''] = name.slice(box.length).split('/')
        // `post` of another process has written this note.
        return { name, kind, id, content: opened(sealer, value as unknown as Letter) }
      })
    },
  }
}

function opened(sealer: Sealer, letter: Letter): unknown {
  try {
    return JSON.parse(sealer.open(letter.sealed))
  } catch {
    return undefined
  }
}

async function removeOld({ notes, clock }: Deps): Promise<void> {
  const all = await notes.read(prefix)
  // `post` has written these notes.
  const old = [...all].filter(([, value]) => clock.wallMs() - Number(value['atMs']) > lettersStayMs)
  if (old.length > 0) await notes.put(old.map(([name]) => ({ name, value: undefined })))
}
