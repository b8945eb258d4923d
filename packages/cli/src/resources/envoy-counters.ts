import { z } from 'zod'
import type { Client } from '../base/client.ts'
import type { NamedProxy } from './proxies.ts'

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

/** Reads the counters of the Envoy of a proxy, through its zone. Throws a CommandError with the reason if it cannot. */
export async function readCounters(client: Client, { name, path }: NamedProxy) {
  const reply = await client.need('GET', `${path}/stats?format=json`)
  const { stats } = statsSchema.parse(reply.json)
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
  return { proxy: name, atMs: performance.now(), values, times }
}
