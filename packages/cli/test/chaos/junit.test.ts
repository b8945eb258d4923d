import { expect, test } from 'vitest'
import { junitXml } from '../../src/chaos/report/junit.ts'
import { failedRequest, firstFault, secondFault, verdictOf } from './verdicts.ts'
import { type Element, readXml } from './xml.ts'

const named = (of: Element | undefined, name: string) => of?.children.filter((one) => one.name === name) ?? []

test('B33 --junit has one suite for the run, with a case for each fault and each guarantee, and the seed, the rate and the versions', () => {
  const faults = [
    firstFault,
    { ...secondFault, evidence: [], misses: ['process of global: 10 → 10, expected a new process'] },
  ]
  const history = [failedRequest(1_500, '503 no'), failedRequest(1_600, '503 no')]
  const root = readXml(junitXml(verdictOf(history, faults), { seed: 7, rate: 50 }))
  const [suite] = root.children
  const cases = named(suite, 'testcase')
  const counts = { tests: '10', failures: '9', errors: '0', skipped: '0', time: '12.345' }
  expect(root).toMatchObject({ name: 'testsuites', attributes: counts })
  expect(root.children.length).toBe(1)
  expect(suite).toMatchObject({ name: 'testsuite', attributes: { ...counts, timestamp: '2026-01-02T03:04:05' } })
  expect(named(named(suite, 'properties')[0], 'property').map(({ attributes }) => attributes)).toEqual([
    { name: 'seed', value: '7' },
    { name: 'rate', value: '50' },
    { name: 'version.zonemesh', value: '1.2.3' },
  ])
  expect(cases.map(({ attributes }) => attributes['name']?.split(' ')[0])).toEqual([
    ...['partition', 'kill', 'G1', 'G2', 'G3', 'G4', 'G6', 'G8', 'G9', 'G10'],
  ])
  expect(cases[0]).toMatchObject({
    attributes: { name: 'partition east for 4.0 s', classname: 'zonemesh.chaos.fault', time: '4.500' },
    children: [{ name: 'system-out', text: 'effect: the relay held 9 bytes' }],
  })
  const [unproved] = named(cases[1], 'failure')
  expect(unproved?.attributes).toEqual({
    ...{ message: 'no effect: process of global: 10 → 10, expected a new process', type: 'fault' },
  })
  expect(named(cases[2], 'failure')[0]?.text).toBe('no observations, expected at least one')
  const [violated] = named(cases.at(-1), 'failure')
  expect(violated?.text).toBe('2 times, first at 0.50 s: a request from the gateway to /chaos-west failed: 503 no')
  expect(cases.filter((one) => named(one, 'failure').length > 0).length).toBe(9)
})

test('B33 reasons with any characters stay text of well-formed XML', () => {
  const strange = `<b a="1" c='2'>&amp; ]]> \u001b[31m\u0000\r\n\t\u0085 \ud800 \ufffe 😀`
  const [suite] = readXml(
    junitXml(verdictOf([failedRequest(1_500, strange)], [{ ...firstFault, title: strange }]), {}),
  ).children
  const cases = named(suite, 'testcase')
  const shown = `<b a="1" c='2'>&amp; ]]> \\u001b[31m\\u0000\\u000d\n\t\\u0085 \\ud800 \\ufffe 😀`
  expect(cases[0]?.attributes['name']).toBe(shown)
  expect(named(cases.at(-1), 'failure')[0]?.text).toContain(shown)
})
