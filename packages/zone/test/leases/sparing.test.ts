import { expect, test } from 'vitest'
import { createSparing } from '../../src/leases/sparing.ts'

test('RS4 a proxy that Redis shows at another replica is spared for one more lease, and not longer', async () => {
  const spare = createSparing(async (proxy) => (proxy === 'a' ? 'two' : undefined))
  const answers: (string | undefined)[] = []
  for (const proxy of ['a', 'a', 'a', 'b']) answers.push(await spare(proxy))
  expect(answers).toEqual(['two', undefined, 'two', undefined])
})
