import { describe, expect, it } from 'vitest'
import { scaleOptions } from './options.ts'

const needed = ['--zones', '5', '--dataplanes', '100', '--changes-per-second', '10']

describe('the options of npm run scale', () => {
  it('SM8 options that are not given have defaults', () => {
    expect(scaleOptions(needed)).toEqual({
      ok: true,
      value: { zones: 5, dataplanes: 100, changesPerSecond: 10, fanOut: 32, shards: 1, seconds: 5, seed: 1 },
    })
  })

  it.each([
    [['--zones', '5'], '--dataplanes: expected a whole number from 1 to 10000000, found none'],
    [[...needed, '--zones', 'many'], '--zones: expected a whole number from 1 to 10000, found "many"'],
    [[...needed, '--fan-out', '1'], '--fan-out: expected a whole number from 2 to 1000, found "1"'],
    [[...needed, '--shards', '0.5'], '--shards: expected a whole number from 1 to 64, found "0.5"'],
    [[...needed, '--seconds', '61'], '--seconds: expected a whole number from 1 to 60, found "61"'],
    [[...needed, '--dataplanes', '4'], '--dataplanes: expected at least one per zone (5), found 4'],
    [[...needed, '--relays', '4'], "Unknown option '--relays'"],
    [[...needed, 'tree'], "Unexpected argument 'tree'"],
    [[...needed, '--seed'], "Option '--seed <value>' argument missing"],
  ])('SM8 wrong options %j are refused with one sentence', (args, error) => {
    expect(scaleOptions(args)).toEqual({ ok: false, error })
  })

  it('SM8 --help and --costs need no other options', () => {
    expect(scaleOptions(['--help'])).toEqual({ ok: true, value: 'help' })
    expect(scaleOptions(['--costs'])).toEqual({ ok: true, value: 'costs' })
  })
})
