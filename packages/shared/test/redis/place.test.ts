import { expect, test } from 'vitest'
import { redisPlaceOf } from '../../src/redis/place.ts'

test.each([
  ['redis://r', 'single', false, [['r', 6379]], '', 0],
  ['redis://r:7000/3', 'single', false, [['r', 7000]], '3', 3],
  ['rediss://[::1]:7000', 'single', true, [['::1', 7000]], '', 0],
  [
    'redis-sentinel://a,b:1,c/main',
    'sentinel',
    false,
    [
      ['a', 26379],
      ['b', 1],
      ['c', 26379],
    ],
    'main',
    0,
  ],
  ['rediss-sentinel://a/main', 'sentinel', true, [['a', 26379]], 'main', 0],
  [
    'redis-cluster://a:1,b:2',
    'cluster',
    false,
    [
      ['a', 1],
      ['b', 2],
    ],
    '',
    0,
  ],
  ['rediss-cluster://a', 'cluster', true, [['a', 6379]], '', 0],
] as const)(
  'RS1 the URL of a Redis names its form, its servers and its database: %s',
  (url, form, tls, servers, primary, database) => {
    const expected = { form, tls, primary, database, servers: servers.map(([host, port]) => ({ host, port })) }
    expect(redisPlaceOf(url)).toMatchObject({ ok: true, value: { ...expected, text: url } })
  },
)

test('RS1 a user and a password of the URL are decoded, and are in no message', () => {
  const read = redisPlaceOf('redis://anna:p%40ss%3Aw@r:6379/0')
  expect(read).toMatchObject({ value: { user: 'anna', password: 'p@ss:w', text: 'redis://r:6379/0' } })
  expect(redisPlaceOf('redis://:secret@r')).toMatchObject({ value: { user: undefined, password: 'secret' } })
  for (const url of ['redis://anna:secret@a,b', 'redis://anna:secret@r:x', 'http://anna:secret@r'])
    expect(JSON.stringify(redisPlaceOf(url))).not.toContain('secret')
})

test.each([
  ['r:6379', /expected redis:\/\/HOST.*found no scheme/],
  ['http://r', /found http:/],
  ['redis://', /found no scheme/],
  ['redis://a,b', /expected one host/],
  ['redis://a:b', /expected HOST:PORT, separated by commas, found "a:b"/],
  ['redis://a/x', /expected the number of a database, found "x"/],
  ['redis-sentinel://a', /expected the name of the primary/],
])('RS1 a URL that names no Redis is refused with what was expected: %s', (url, message) => {
  expect(redisPlaceOf(url)).toEqual({ ok: false, error: expect.stringMatching(message) })
})
