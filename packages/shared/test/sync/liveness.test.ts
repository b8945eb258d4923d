import { describe, expect, it } from 'vitest'
import { openSession } from './raw-session.ts'

describe('a session in virtual time', () => {
  it('Y5 a session sends a bookmark every 2 s, and ends after 7 s without any frame', async () => {
    const scene = await openSession()
    for (let second = 0; second < 6; second += 1) scene.clock.advance(1_000)
    await scene.settle()
    expect(scene.sentOf('bookmark').length).toBe(4)
    expect(scene.over()).toBeUndefined()
    for (let second = 0; second < 3; second += 1) scene.clock.advance(1_000)
    await scene.settle()
    expect(scene.over()?.reason).toBe('no frame arrived for 8000 ms')
  })

  it('Y5 a session lives as long as it receives frames', async () => {
    const scene = await openSession()
    for (let second = 0; second < 60; second += 1) {
      scene.clock.advance(1_000)
      if (second % 5 === 0) await scene.receive({ type: 'credit', bytes: 0 })
    }
    await scene.settle()
    expect(scene.over()).toBeUndefined()
  })

  it('Y16 a session sends its first mark at once, and coalesces later marks without rows into the last one', async () => {
    const scene = await openSession()
    expect(scene.sent.filter(({ type }) => type === 'mark')).toMatchObject([{ position: { revision: 0 } }])
    scene.sent.length = 0
    for (let index = 0; index < 10; index += 1) {
      const key = { origin: 'global', kind: 'Hidden', mesh: '', name: 'a' }
      await scene.store.commit({
        changes: [{ op: 'put', key, labels: {}, spec: { index } }],
        subject: 's',
        intent: 'i',
      })
      await scene.settle()
    }
    expect(scene.sent).toEqual([])
    scene.clock.advance(40)
    expect(scene.sent).toMatchObject([{ type: 'mark', position: { revision: 10 } }])
  })
})
