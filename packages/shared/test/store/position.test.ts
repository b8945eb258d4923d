import { expect, test } from 'vitest'
import { parsePosition, positionText } from '../../src/store/store.ts'

test('Y1 a position has a text form, from which it is read', () => {
  const position = { store: 'a-b.c', revision: 120, commitId: '00ff' }
  expect(positionText(position)).toBe('a-b.c@120.00ff')
  expect(parsePosition('a-b.c@120.00ff')).toEqual(position)
})

test.each(['', '@1.a', 's@1', 's@.a', 's@1.', 's@x.a', 's@1.g', 's@-1.a', 's@1.a ', 's@t@1.a'])(
  'Y1 a text that is no position is refused: "%s"',
  (text) => expect(parsePosition(text)).toBeUndefined(),
)
