import type { Cluster, Redis } from 'ioredis'
import { messageOf } from '../base/base.ts'
import { createListeners } from '../base/listeners.ts'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { type Topic, topics, type Wakeups } from '../store/wakeups.ts'
import { connectRedis, type RedisSecrets } from './client.ts'
import { createPeerKeys } from './peer-keys.ts'
import type { RedisPlace } from './place.ts'

/** Whether Redis answers, as this process knows it. */
export interface RedisState {
  readonly phase: 'connected' | 'away'
  /** Why it does not answer; '' in phase `connected`. */
  readonly reason: string
  /** The wall clock of the last change of phase. */
  readonly sinceMs: number
}

export interface RedisCounts {
  /** Wake-ups that were sent, and those that could not be sent. */
  readonly sent: number
  readonly failed: number
  readonly received: number
  /** Messages that are no wake-up. */
  readonly ignored: number
}

export interface RedisLink extends Wakeups, AsyncDisposable {
  state(): RedisState
  counts(): RedisCounts
  /** Publishes which peers are connected to this process. The entries expire soon after it ends. */
  setPeers(peers: Iterable<string>): void
  /** The peers of other processes, by peer. Empty if Redis does not answer. */
  peersOf(instances: readonly string[]): Promise<ReadonlyMap<string, string>>
}

interface Deps {
  readonly clock: Clock
  readonly log: Log
}

interface Options {
  readonly place: RedisPlace
  readonly secrets?: RedisSecrets
  /** The id of the store that the processes share: several stores may use one Redis. */
  readonly store: string
  /** The name of this process. No process ever reuses a name. */
  readonly instance: string
}

const checkEveryMs = 2_000

/**
 * Wakes the other processes of a store by Redis, and shows them which peers are connected here. Nothing depends on it:
 * a wake-up is a hint, which may be lost, late, repeated or invented, and every peer is also in the notes of the store.
 * No caller waits for Redis. After each new connection, and while Redis does not answer, the other ways count.
 */
export function openRedisLink({ clock, log }: Deps, { place, secrets = {}, store, instance }: Options): RedisLink {
  const commands = connectRedis(place, secrets)
  const subscriber = connectRedis(place, secrets)
  const channel = `zonemesh:{${store}}:wake`
  const listeners = createListeners<Topic>()
  const counts = { sent: 0, failed: 0, received: 0, ignored: 0 }
  const state = createPhases({ clock, log }, place)
  const peers = createPeerKeys(commands, store, instance)

  function lose(cause: unknown): void {
    peers.forget()
    state.change('away', messageOf(cause))
  }

  function failed(cause: unknown): void {
    counts.failed += 1
    lose(cause)
  }

  async function check(): Promise<void> {
    try {
      await commands.ping()
      if (subscriber.status !== 'ready') throw new Error(`the subscription is ${subscriber.status}`)
      state.change('connected', '')
      await peers.publish()
    } catch (cause) {
      lose(cause)
    }
  }

  subscriber.on('message', (_channel: string, text: string) => {
    const read = topicOf(text, instance)
    if (read === 'own') return
    counts[read === 'unknown' ? 'ignored' : 'received'] += 1
    if (read !== 'unknown') listeners.call(read)
  })
  subscriber.on('ready', () => {
    // Wake-ups may have been missed.
    subscriber.subscribe(channel).then(() => topics.forEach(listeners.call), lose)
  })
  for (const client of [commands, subscriber])
    client.on('error', lose).on('close', () => lose(new Error('the connection has ended')))
  commands.on('ready', () => void check())
  const checking = repeat(clock, checkEveryMs, check)

  return {
    wake(topic) {
      const isAway = state.now().phase === 'away'
      counts[isAway ? 'failed' : 'sent'] += 1
      if (!isAway) commands.publish(channel, `${topic} ${instance}`).catch(failed)
    },
    onWake: listeners.add,
    state: state.now,
    counts: () => ({ ...counts }),
    setPeers(next) {
      peers.set(next)
      if (state.now().phase === 'connected') peers.publish().catch(lose)
    },
    peersOf: (instances) => peers.read(instances).catch(() => new Map<string, string>()),
    async [Symbol.asyncDispose]() {
      checking[Symbol.dispose]()
      await peers.remove().catch(() => undefined)
      disconnect(commands)
      disconnect(subscriber)
    },
  }
}

/** The topic of a message. This process already has what it has written itself. */
function topicOf(text: string, instance: string): Topic | 'own' | 'unknown' {
  const [topic, sender] = text.split(' ')
  const known = text.length > 100 ? undefined : topics.find((one) => one === topic)
  if (!known) return 'unknown'
  return sender === instance ? 'own' : known
}

/** Whether Redis answers. Each change is logged once. */
function createPhases({ clock, log }: Deps, place: RedisPlace) {
  let state: RedisState = { phase: 'away', reason: 'not connected yet', sinceMs: clock.wallMs() }
  return {
    now: (): RedisState => state,
    change(phase: RedisState['phase'], reason: string): void {
      if (state.phase === phase) return
      state = { phase, reason, sinceMs: clock.wallMs() }
      if (phase === 'connected') log.info({ redis: place.text }, 'Redis answers')
      else log.warn({ redis: place.text, reason }, 'Redis does not answer: the database alone wakes replicas')
    },
  }
}

function disconnect(client: Redis | Cluster): void {
  client.removeAllListeners()
  client.on('error', () => undefined)
  client.disconnect()
}
