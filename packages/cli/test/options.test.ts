import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  duration,
  list,
  option,
  port,
  positiveDuration,
  readOptions,
  text,
  toggle,
} from '@zonemesh/plane/config/options.ts'
import { expect, test } from 'vitest'

const options = {
  configFile: option(text.optional(), 'file', { placeholder: 'FILE' }),
  apiPort: option(port.default(5681), 'port', { placeholder: 'PORT' }),
  hosts: option(list.default([]), 'hosts', { placeholder: 'HOST', repeated: true }),
  atomic: option(toggle.default(false), 'all or nothing'),
  name: option(text, 'a name', { placeholder: 'NAME', short: 'n' }),
}
const file = (content: string): string => {
  const path = join(mkdtempSync(join(tmpdir(), 'zonemesh-options-')), 'settings.yaml')
  writeFileSync(path, content)
  return path
}

test('B2 flags override the environment, the environment overrides the file, and the file overrides defaults', () => {
  const path = file('apiPort: 1\nname: from-file\natomic: true\n')
  const read = readOptions(options, ['--config-file', path, '--api-port', '3'], {
    ZONEMESH_API_PORT: '2',
    ZONEMESH_NAME: 'from-env',
  })
  expect(read).toMatchObject({ ok: true, value: { values: { apiPort: 3, name: 'from-env', atomic: true, hosts: [] } } })
})

test('B3 options can be repeated, short, negated and inline, and nothing after -- is an option', () => {
  const read = readOptions(options, ['-n', 'x', '--hosts', 'a,b', '--hosts=c', '--no-atomic', 'pos', '--', '--odd'], {})
  expect(read).toMatchObject({
    ok: true,
    value: { values: { name: 'x', hosts: ['a', 'b', 'c'], atomic: false }, positionals: ['pos', '--odd'] },
  })
})

test('B94 an option with an assumed value may be given without a value: at the end, or before another option', () => {
  const own = { project: option(text.optional(), 'project', { placeholder: 'NAME', assumed: 'mine' }), ...options }
  const read = (...args: string[]) => {
    const result = readOptions(own, ['-n', 'x', ...args], {})
    return result.ok ? [result.value.values.project, ...result.value.positionals] : result.error.message
  }
  expect(read('--project')).toEqual(['mine'])
  expect(read('--project', '--atomic')).toEqual(['mine'])
  expect(read('one', '--project', '--', '--project')).toEqual(['mine', 'one', '--project'])
  expect(read('--project', 'yours')).toEqual(['yours'])
  expect(read('--project=yours')).toEqual(['yours'])
  expect(read('--', '--project')).toEqual([undefined, '--project'])
  expect(read('--api-port')).toBe('--api-port needs a value: --api-port PORT')
})

test('B3 a switch may have its value inline, a value may begin with a dash, and the last of several values counts', () => {
  const read = (...args: string[]) => readOptions(options, args, {})
  const values = (...args: string[]) => {
    const result = read('-n', 'x', ...args)
    return result.ok ? result.value.values : result.error.message
  }
  expect(values('--atomic=false')).toMatchObject({ atomic: false })
  expect(values('--atomic')).toMatchObject({ atomic: true })
  expect(values('--name', '-y')).toMatchObject({ name: '-y' })
  expect(values('--api-port', '1', '--api-port', '2')).toMatchObject({ apiPort: 2 })
  expect(values('-')).toMatchObject({ name: 'x' })
  expect(values('--no-hosts')).toBe('unknown option --no-hosts; did you mean --hosts?')
  expect(values('-x')).toBe('unknown option -x; did you mean -n?')
})

test.each([
  [['--nmae', 'x'], {}, /unknown option --nmae; did you mean --name\?/],
  [['--name'], {}, /--name needs a value: --name NAME/],
  [[], {}, /--name is required: a name/],
  [['-n', 'x', '--api-port', '70000'], {}, /--api-port: expected a port from 0 to 65535, found "70000"/],
  [['-n', 'x'], { ZONEMESH_API_PORT: 'many' }, /ZONEMESH_API_PORT: expected a port from 0 to 65535, found "many"/],
  [['-n', 'x', '--config-file', '/nowhere.yaml'], {}, /configuration file \/nowhere\.yaml does not exist/],
  [['-n', 'x', '--config-file', file('apiprt: 1')], {}, /unknown setting "apiprt"; did you mean "apiPort"\?/],
] as const)('B4 an error in an option names its source: %j %j', (args, environment, message) => {
  const read = readOptions(options, args, environment)
  expect(read.ok ? 'accepted' : read.error.message).toMatch(message)
})

test('B16 a duration may have days, weeks and years, and an error shows durations that are accepted', () => {
  const options = {
    wait: option(duration.prefault('5s'), 'how long', { placeholder: 'DURATION' }),
    validFor: option(positiveDuration.optional(), 'how long', { placeholder: 'DURATION' }),
  }
  const read = (...args: string[]) => {
    const result = readOptions(options, args, {})
    return result.ok ? result.value.values : result.error.message
  }
  const dayMs = 86_400_000
  expect(read()).toEqual({ wait: 5_000, validFor: undefined })
  for (const [given, ms] of [
    ...([
      ['1d', dayMs],
      ['2w', 14 * dayMs],
      ['10y', 3_650 * dayMs],
      ['1d12h', 1.5 * dayMs],
    ] as const),
    ...([
      ['30s', 30_000],
      ['12h', dayMs / 2],
      ['1h30m', 5_400_000],
      ['1ns', 1],
      ['0', 0],
    ] as const),
  ])
    expect(read('--wait', given)).toEqual({ wait: ms, validFor: undefined })
  const expected = 'expected a duration such as 30s, 12h, 30d'
  for (const bad of ['', '5', 'soon', '1x', '-1d', '1d ', '300y', '9'.repeat(400), '1constructor'])
    expect(read('--wait', bad)).toBe(`--wait: ${expected}, found "${bad}"`)
  expect(read('--valid-for', '0s')).toBe(`--valid-for: ${expected}, longer than 0, found "0s"`)
})
