import type { Cluster, Redis } from 'ioredis'
import type { Clock } from '../env/clock.ts'
import { answerWaitMs } from './client.ts'

interface Hooks {
  /** Called after each new subscription: messages may have been missed. */
  subscribed(): void
  message(text: string): void
  failed(cause: unknown): void
}

interface Options {
  readonly subscriber: Redis | Cluster
  readonly commands: Redis | Cluster
  readonly channel: string
  /** A channel that nobody else uses: what arrives there shows that the subscription works. */
  readonly ownChannel: string
}

/**
 * The subscription to a channel. A connection does not show that messages arrive: its server may hang, be cut off from
 * the others, or no longer be the primary. So each check sends a message to this process itself, and the next check
 * renews a connection on which it has not arrived.
 */
export function openSubscription(clock: Clock, options: Options, hooks: Hooks) {
  const { subscriber, commands, channel, ownChannel } = options
  const probe = { sent: 0, seen: 0, sentAtMs: 0 }
  let isSubscribed = false
  let subscribing: Promise<void> | undefined

  async function subscribeNow(): Promise<void> {
    await subscriber.subscribe(channel, ownChannel)
    isSubscribed = true
    probe.seen = probe.sent
    hooks.subscribed()
  }

  function subscribe(): Promise<void> {
    subscribing ??= subscribeNow().finally(() => {
      subscribing = undefined
    })
    return subscribing
  }

  subscriber.on('message', (from: string, text: string) => {
    if (from === ownChannel) probe.seen = Number(text)
    else hooks.message(text)
  })
  subscriber.on('ready', () => {
    isSubscribed = false
    subscribe().catch(hooks.failed)
  })
  return {
    /** Throws if the subscription does not work. */
    async check(): Promise<void> {
      if (subscriber.status !== 'ready') throw new Error(`the subscription is ${subscriber.status}`)
      if (!isSubscribed) await subscribe()
      if (probe.seen === probe.sent) {
        probe.sent += 1
        probe.sentAtMs = clock.monotonicMs()
        await commands.publish(ownChannel, String(probe.sent))
      } else if (clock.monotonicMs() - probe.sentAtMs >= answerWaitMs) {
        isSubscribed = false
        subscriber.disconnect(true)
        throw new Error('the subscription is silent, a new one begins')
      }
    },
  }
}
