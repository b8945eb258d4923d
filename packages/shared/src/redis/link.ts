import type { Cluster, Redis } from 'ioredis'
import { createListeners } from '../base/listeners.ts'
import { type Clock, repeat } from '../env/clock.ts'
import type { Log } from '../env/log.ts'
import { type Topic, topics, type Wakeups } from '../store/wakeups.ts'
import { connectRedis, type RedisSecrets } from './client.ts'
import { createHealth, type Health, type RedisCounts, type RedisState } from './health.ts'
import { createPeerKeys } from './peer-keys.ts'
import type { RedisPlace } from './place.ts'
import { openSubscription } from './subscription.ts'

export interface RedisLink extends Wakeups, AsyncDisposable {
  readonly form: RedisPlace['form']
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
  const [commands, subscriber] = [connectRedis(place, secrets), connectRedis(place, secrets)]
  const channel = `zonemesh:{${store}}:wake`
  const listeners = createListeners<Topic>()
  const health = createHealth({ clock, log }, place)
  const peers = createPeerKeys(commands, store, instance)

  function lose(cause: unknown): void {
    peers.forget()
    health.lose(cause)
  }

  function failed(cause: unknown): void {
    health.count('errors')
    lose(cause)
  }

  async function check(): Promise<void> {
    try {
      await subscription.check()
      await peers.publish()
      health.answers()
    } catch (cause) {
      failed(cause)
    }
  }

  async function wake(topic: Topic): Promise<void> {
    const sent = health.now().phase === 'connected' && commands.publish(channel, `${topic} ${instance}`)
    health.count(sent && (await sent.then(() => true, failed)) ? 'sent' : 'failed')
  }

  /** As soon as both connections are there. */
  function checkSoon(): void {
    if (commands.status === 'ready' && subscriber.status === 'ready') void check()
  }

  const options = { subscriber, commands, channel, ownChannel: `${channel}:${instance}` }
  const subscription = openSubscription(clock, options, {
    subscribed() {
      topics.forEach(listeners.call)
      checkSoon()
    },
    message: (text) => receive(topicOf(text, instance), health, listeners.call),
    failed,
  })
  for (const client of [commands, subscriber])
    client.on('error', failed).on('close', () => lose(new Error('the connection has ended')))
  commands.on('ready', checkSoon)
  const checking = repeat(clock, checkEveryMs, check)

  return {
    form: place.form,
    wake: (topic) => void wake(topic),
    onWake: listeners.add,
    state: health.now,
    counts: health.counts,
    setPeers(next) {
      peers.set(next)
      if (health.now().phase === 'connected') peers.publish().catch(failed)
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

function receive(read: ReturnType<typeof topicOf>, health: Health, woken: (topic: Topic) => void): void {
  if (read !== 'own') health.count(read === 'unknown' ? 'ignored' : 'received')
  if (read === 'mark' || read === 'notes') woken(read)
}

/** The topic of a message. This process already has what it has written itself. */
function topicOf(text: string, instance: string): Topic | 'own' | 'unknown' {
  const [topic, sender] = text.split(' ')
  const known = text.length > 100 ? undefined : topics.find((one) => one === topic)
  if (!known) return 'unknown'
  return sender === instance ? 'own' : known
}

function disconnect(client: Redis | Cluster): void {
  client.removeAllListeners()
  client.on('error', () => undefined)
  client.disconnect()
}
