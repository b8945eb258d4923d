import { messageOf } from '@zonemesh/shared/base/base.ts'
import { type GenericContainer, getContainerRuntimeClient, Network, type StartedNetwork, Wait } from 'testcontainers'
import type { Place } from '../contract/postgres-proxy.ts'
import { type Relay, startRelay } from './relay.ts'

/** A running container, and the faults that it can have. It is removed with its volumes. */
export interface Container extends AsyncDisposable {
  /** Its address for processes of this machine, which stays through all faults. */
  readonly relay: Relay
  /** Its address in its network. It may be another one after a restart or a disconnect. */
  place(): Promise<Place>
  /** Runs a command in it and returns its output. */
  run(...command: readonly string[]): Promise<string>
  /** Kills its process with SIGKILL. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Stops its process in order, and starts it again. */
  restart(): Promise<void>
  pause(): Promise<void>
  unpause(): Promise<void>
  /** Takes it from its network. Open connections become silent: no end of them arrives. */
  disconnect(): Promise<void>
  connect(): Promise<void>
}

/** A network of its own. It has to outlive its containers. */
export const startNetwork = (): Promise<StartedNetwork> => new Network().start()

/** The address of this machine in a network of containers. */
export async function gatewayOf(network: StartedNetwork): Promise<string> {
  const { container } = await getContainerRuntimeClient()
  // The type of the client has no such member. A network without a gateway is refused here.
  const { IPAM } = (await container.dockerode.getNetwork(network.getId()).inspect()) as {
    readonly IPAM?: { readonly Config?: readonly { readonly Gateway?: string }[] }
  }
  const gateway = IPAM?.Config?.[0]?.Gateway
  if (!gateway) throw new Error(`the network ${network.getName()} has no gateway`)
  return gateway
}

/**
 * Starts a container whose service listens on this port. If this process dies, Ryuk removes the container. The address
 * in the network is used, because publishing a port adds a process that ends connections when the network is cut.
 * `isReady` is a shell command that succeeds in the container once the service answers.
 */
export async function startContainer(
  image: GenericContainer,
  port: number,
  network: StartedNetwork,
  isReady: string,
): Promise<Container> {
  let written = ''
  image.withLogConsumer((stream) => {
    stream.on('data', (line: Buffer) => {
      written = (written + line.toString()).slice(-20_000)
    })
  })
  image.withNetwork(network).withWaitStrategy(Wait.forSuccessfulCommand(isReady))
  const started = await image.start().catch((cause: unknown) => {
    throw new Error(`a container did not start: ${messageOf(cause)}; it wrote:\n${written}`, { cause })
  })
  const { container: engine } = await getContainerRuntimeClient()
  const container = engine.getById(started.getId())
  const ofNetwork = engine.dockerode.getNetwork(network.getId())
  let last = started.getIpAddress(network.getName())
  const place = async (): Promise<Place> => {
    const { NetworkSettings, State } = await container.inspect()
    if (!State.Running) throw new Error('the container does not run')
    // A container that is disconnected has none: its former address is then the one that does not answer.
    last = NetworkSettings.Networks[network.getName()]?.IPAddress || last
    return { host: last, port }
  }
  const relay = await startRelay(place)
  return {
    relay,
    place,
    async run(...command) {
      const { exitCode, output } = await started.exec([...command])
      if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}: ${output}`)
      return output
    },
    kill: async () => {
      await container.kill({ signal: 'SIGKILL' })
      await container.wait()
    },
    start: () => container.start(),
    restart: () => container.restart({ t: 20 }),
    pause: () => container.pause(),
    unpause: () => container.unpause(),
    disconnect: () => ofNetwork.disconnect({ Container: started.getId() }),
    connect: () => ofNetwork.connect({ Container: started.getId() }),
    async [Symbol.asyncDispose]() {
      relay[Symbol.dispose]()
      await container.remove({ force: true, v: true })
    },
  }
}
