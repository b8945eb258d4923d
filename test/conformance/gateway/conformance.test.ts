import { setTimeout as soon } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { until } from '../../e2e/rig.ts'
import { ask, askStream } from './ask.ts'
import { answeringHeader, caseHeader, type Seen } from './echo.ts'
import type { Case, Feature } from './feature.ts'
import { backends } from './features/backends.ts'
import { filters } from './features/filters.ts'
import { hostFeatures } from './features/hosts.ts'
import { matching } from './features/matching.ts'
import { httpsFeatures, type StreamCase, streamFeatures } from './features/tls.ts'
import { type Scene, startScene } from './scene.ts'

// All features are applied through a global and served by the gateway of zone east. The services run in east and west.
const features: readonly Feature[] = [...matching, ...hostFeatures, ...filters, ...backends, ...httpsFeatures]

let scene: Scene
beforeAll(async () => {
  scene = await startScene([...features, ...streamFeatures])
  await settled(scene)
}, 180_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const local = '127.0.0.1'
const titleOf = ({ method = 'GET', host = '', path, headers = {}, tls }: Case, index: number): string => {
  const told = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`#${index + 1}`, method, tls === undefined ? host + path : `https://${tls}${path}`, ...told].join(' ')
}

async function perform(feature: string, one: Case, name: string) {
  const { at, method = 'GET', host, path, headers = {}, answering } = one
  return ask({
    host: local,
    port: scene.portOf(feature, at),
    method,
    path,
    ...(one.tls === undefined ? {} : { tls: { servername: one.tls, ca: scene.ca } }),
    headers: {
      host: host ?? 'any.example',
      [caseHeader]: name,
      ...(answering ? { [answeringHeader]: JSON.stringify(answering) } : {}),
      ...headers,
    },
  })
}

/** Waits until the gateway has all endpoints: the first case of each feature gets the expected response. */
async function settled({ seen: _seen }: Scene): Promise<void> {
  for (const { name, cases } of features) {
    for (const one of cases.filter((each) => each.to !== undefined)) {
      await until(
        `${name} ${titleOf(one, 0)}`,
        () => perform(name, one, 'settling'),
        ({ status }) => status === (one.status ?? 200),
        60_000,
      )
    }
  }
}

describe.each(features)('$name', ({ name: feature, cases }) => {
  test.each(cases.map((one, index) => ({ title: titleOf(one, index), one, index })))(
    'CG1 the answer to a request: $title',
    async ({ one, index }) => {
      const name = `${feature}-${index}`
      const answer = await perform(feature, one, name)
      expect({ status: answer.status, body: answer.status === (one.status ?? 200) ? '' : answer.body }).toEqual({
        status: one.status ?? 200,
        body: '',
      })
      if (one.body !== undefined) expect(answer.body).toBe(one.body)
      if (one.location !== undefined)
        expect(answer.headers['location']).toBe(one.location.replace('PORT', String(scene.portOf(feature, one.at))))
      expect(answer.headers).toMatchObject(one.answer?.headers ?? {})
      for (const absent of one.answer?.without ?? []) expect(answer.headers).not.toHaveProperty(absent)
      if (one.to === undefined) {
        await soon(0)
        expect(scene.seen(name)).toEqual([])
        return
      }
      const main = scene.seen(name).filter(({ service }) => service === one.to)
      expect(main.map(seenBriefly)).toEqual([
        {
          service: one.to,
          zone: one.zone ?? expect.any(String),
          version: one.version ?? expect.any(String),
          method: one.method ?? 'GET',
          path: one.asked?.path ?? one.path,
          host: one.asked?.host ?? one.host ?? 'any.example',
        },
      ])
      expect(main[0]?.headers).toMatchObject(one.asked?.headers ?? {})
      for (const absent of one.asked?.without ?? []) expect(main[0]?.headers).not.toHaveProperty(absent)
      const mirrored = one.mirroredTo ?? []
      const others = await until(
        `${mirrored.join(' and ')} saw a copy`,
        () => scene.seen(name).flatMap(({ service }) => (service === one.to ? [] : [service])),
        (found) => found.length >= mirrored.length,
      )
      expect(others.sort()).toEqual([...mirrored].sort())
    },
  )
})

const seenBriefly = ({ service, zone, version, method, path, host }: Seen) => ({
  service,
  zone,
  version,
  method,
  path,
  host,
})

const streamTitle = ({ at = 'a', tls, to }: StreamCase, index: number): string =>
  `#${index + 1} ${at} ${tls === undefined ? 'plain' : `TLS ${tls}`} → ${to ?? 'closed'}`

describe.each(streamFeatures)('$name', ({ name: feature, cases }) => {
  test.each(cases.map((one, index) => ({ title: streamTitle(one, index), one })))(
    'CG2 the end of a connection: $title',
    async ({ one }) => {
      const asked = () =>
        askStream(
          scene.portOf(feature, one.at),
          one.tls === undefined ? undefined : { servername: one.tls, ca: scene.ca },
        )
      if (one.to === undefined) {
        expect(await asked()).toMatchObject({ answer: undefined })
        return
      }
      const { answer, certificate } = await until('an answer', asked, (found) => found.answer !== undefined)
      expect(answer).toMatchObject({ service: one.to, ...(one.version ? { version: one.version } : {}) })
      if (one.certificate !== undefined) expect(certificate).toContain(one.certificate)
    },
  )
})
