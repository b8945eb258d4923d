import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { readJoin } from '@zonemesh/cli/base/join.ts'
import { encodeJoin } from '@zonemesh/shared/auth/join.ts'
import { expect, test } from 'vitest'

const join = { address: 'https://10.0.0.1:5685', token: 'a.b.c', pin: '0f'.repeat(32) }
const written = (text: string): string => {
  const path = joinPath(mkdtempSync(joinPath(tmpdir(), 'zonemesh-join-')), 'east.join')
  writeFileSync(path, text)
  return path
}
const read = (given: string | undefined, joinFile?: string) => readJoin({ join: given, joinFile })

test('B14 --join accepts a join string or a file that holds one, and --join-file a file', () => {
  const text = encodeJoin(join)
  const file = written(`${text}\n`)
  expect(read(text)).toEqual({ join, file: undefined })
  expect(read(` ${text}\n`)).toEqual({ join, file: undefined })
  expect(read(file)).toEqual({ join, file })
  expect(read(undefined, file)).toEqual({ join, file })
  expect(read(undefined)).toBeUndefined()
})

test('B14 a value of --join that is neither a join string nor a file is refused, and a token is never repeated', () => {
  const token = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.eyJab25lIjoiZWFzdCJ9.c2lnbmF0dXJl`
  const reason = (task: () => unknown): string => {
    try {
      task()
    } catch (thrown) {
      return String(thrown)
    }
    return 'accepted'
  }
  expect(reason(() => read('east.jion'))).toContain(
    '--join: expected a join string, which begins with zmj1., or a file that holds one, found "east.jion"',
  )
  const cut = encodeJoin(join).slice(5).repeat(3)
  expect(reason(() => read(cut))).toContain(`found ${cut.length} characters`)
  expect(reason(() => read(encodeJoin(join).slice(0, -9)))).toContain('the join string is not valid: ')
  const bare = written(token)
  for (const task of [() => read(bare), () => read(undefined, bare)])
    expect(reason(task)).toContain(`${bare}: expected a join string, which begins with zmj1., found a bare token`)
  const other = written('type: Mesh')
  expect(reason(() => read(other))).toContain(`${other}: the join string is not valid: a join string begins with zmj1.`)
  for (const task of [() => read(cut), () => read(bare)]) {
    expect(reason(task)).not.toContain(token)
    expect(reason(task)).not.toContain(cut)
  }
})
