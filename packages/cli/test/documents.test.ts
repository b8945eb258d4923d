import { fillVariables, readVariables } from '@zonemesh/cli/files/documents.ts'
import { expect, test } from 'vitest'

const fill = (text: string, variables: Readonly<Record<string, string>> = { name: 'web', port: '80' }) =>
  fillVariables(text, variables, 'route.yaml')

test('B15 --var replaces names that are given, refuses unknown ones, and leaves templates of other systems unchanged', () => {
  expect(fill('{{name}} {{ port }} {{name}}')).toBe('web 80 web')
  const foreign = [
    ...['{{ .Name }}', '{{.service}}', '{{ .Values.name }}', '{{.}}', '{{- .Name -}}', '{{ $name }}', '{{{name.}}}'],
    ...['{{end}}', '{{ else }}', '{{-end-}}', '{{ range .Items }}', '{{ printf "%s" name }}', '{{ "name" }}', '{{}}'],
  ]
  for (const text of foreign) expect(fill(`hostname: "x-${text}"`)).toBe(`hostname: "x-${text}"`)
  expect(fill('{{ .name }} {{name}}')).toBe('{{ .name }} web')
  // A name that is given is ours, whatever it means elsewhere.
  expect(fill('{{end}} {{constructor}}', { end: 'x', constructor: 'y' })).toBe('x y')
  for (const name of ['nmae', 'constructor', 'a.b', 'a-b'])
    expect(() => fill(`{{ ${name} }}`)).toThrow(
      `route.yaml: no value for {{${name}}}; give one with --var ${name}=… (known: name, port)`,
    )
  expect(() => fill('{{name}}', {})).toThrow('(known: none are given)')
})

test('B15 a pair of --var has a name that a document can use', () => {
  expect(readVariables(['a=1', 'b.c=x=y', 'd='])).toEqual({ a: '1', 'b.c': 'x=y', d: '' })
  for (const pair of ['a', '=1', '', '.Name=x', '-a=x', 'a b=x'])
    expect(() => readVariables([pair])).toThrow(`--var: expected NAME=VALUE, found "${pair}"`)
})
