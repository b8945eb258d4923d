import { existsSync, readdirSync } from 'node:fs'
import { request } from 'node:http'
import { basename, join } from 'node:path'
import { z } from 'zod'

/** The statistics of Envoy as JSON: counters, gauges, and all histograms in one entry. */
const statsSchema = z.object({
  stats: z.array(
    z.union([
      z.object({ name: z.string(), value: z.number() }),
      z.object({
        histograms: z.object({
          supported_quantiles: z.array(z.number()).default([]),
          computed_quantiles: z
            .array(
              z.object({
                name: z.string(),
                values: z.array(z.object({ cumulative: z.number().nullable(), interval: z.number().nullable() })),
              }),
            )
            .default([]),
        }),
      }),
      // Texts, and forms of a newer Envoy.
      z.looseObject({}),
    ]),
  ),
})

/** The name of Envoy's admin socket in the work folder of a proxy. */
const socketName = 'kuma-envoy-admin.sock'

/** The work folders of the proxies of a scene whose Envoys run or ran. */
export const proxyFolders = (folder: string): readonly string[] =>
  existsSync(folder)
    ? readdirSync(folder)
        .map((name) => join(folder, name))
        .filter((path) => existsSync(join(path, socketName)))
        .sort()
    : []

/** Reads the counters of the Envoy with this work folder, on this machine. Rejects if it does not answer. */
export async function readCounters(workDir: string) {
  const body = await ask(join(workDir, socketName), '/stats?format=json&usedonly')
  const { stats } = statsSchema.parse(JSON.parse(body))
  const values = new Map<string, number>()
  const times = new Map<string, { p50: number | undefined; p99: number | undefined }>()
  for (const one of stats) {
    if ('name' in one && typeof one.name === 'string' && typeof one.value === 'number') values.set(one.name, one.value)
    if (!('histograms' in one)) continue
    const parsed = statsSchema.shape.stats.element.options[1].safeParse(one)
    if (!parsed.success) continue
    const { supported_quantiles: quantiles, computed_quantiles: computed } = parsed.data.histograms
    for (const { name, values: all } of computed) {
      const at = (quantile: number): number | undefined => {
        const found = all[quantiles.indexOf(quantile)]
        return found?.interval ?? found?.cumulative ?? undefined
      }
      times.set(name, { p50: at(50), p99: at(99) })
    }
  }
  return { proxy: basename(workDir), atMs: performance.now(), values, times }
}

function ask(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, agent: false, timeout: 2_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('end', () => resolve(body)).on('error', reject)
    })
    sent
      .on('timeout', () => sent.destroy(new Error('no response from Envoy')))
      .on('error', reject)
      .end()
  })
}
