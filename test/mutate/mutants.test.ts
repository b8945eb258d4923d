import { expect, test } from 'vitest'
import { applied, mutantsOf } from './mutants.ts'

const mutated = (code: string): readonly string[] => mutantsOf(code).map((mutant) => applied(code, mutant))

test('MU1 each operator changes one thing', () => {
  expect(mutated('f(a < b && !c)')).toEqual([';', 'f(a <= b && !c)', 'f(a < b || !c)', 'f(a < b && c)'])
  expect(mutated('const n = [1, true]')).toEqual(['const n = [2, true]', 'const n = [1, false]'])
  expect(mutated('const x = (y): number => { if (y) return 0; return y - 2 }')).toEqual([
    'const x = (y): number => { if (!(y)) return 0; return y - 2 }',
    'const x = (y): number => { if (y) ; return y - 2 }',
    'const x = (y): number => { if (y) return 1; return y - 2 }',
    'const x = (y): number => { if (y) return 0; return y + 2 }',
    'const x = (y): number => { if (y) return 0; return y - 3 }',
  ])
  expect(mutated('const kept = all.filter(isKept)')).toEqual(['const kept = all'])
})

test('MU2 types, imports, error messages and log calls have no mutants', () => {
  const code = `import { a } from './1.ts'
    type Status = 301 | true
    const f = (deps: { retries: 1 }): 2 => { deps.log.info('x', 3); throw new Error('a' + 4) }`
  expect(mutated(code)).toEqual([])
})
