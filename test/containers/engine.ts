import { messageOf } from '@zonemesh/shared/base/base.ts'
import { getContainerRuntimeClient } from 'testcontainers'

/** Fails the whole run if no engine answers: a test that is skipped proves nothing. */
export default async function requireEngine(): Promise<void> {
  await getContainerRuntimeClient().catch((cause: unknown) => {
    throw new Error(
      'these tests need a Docker engine on this machine that answers, found none: start one and check it with `docker info`, ' +
        `or name its socket in DOCKER_HOST (${messageOf(cause)})`,
    )
  })
}
