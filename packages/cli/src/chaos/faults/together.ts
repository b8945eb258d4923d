import type { Fault, Proof } from './faults.ts'

/** Injects faults at the same time. Each of them must have an effect. */
export function together(faults: readonly Fault[]): Fault {
  const longestMs = (of: 'forMs' | 'convergeMs') => Math.max(0, ...faults.map((one) => one[of] ?? 0))
  return {
    title: faults.map(({ title }) => title).join(' and '),
    forMs: longestMs('forMs'),
    convergeMs: longestMs('convergeMs'),
    async run(scene) {
      // All of them end before an error is reported, so that no fault stays.
      const ended = await Promise.allSettled(faults.map((one) => one.run(scene)))
      const failed = ended.find((one) => one.status === 'rejected')
      if (failed) throw failed.reason
      return ended.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    },
    prove(scene, fromMs, healedAtMs): Omit<Proof, 'problems'> {
      const proofs = faults.map((one) => one.prove(scene, fromMs, healedAtMs))
      return {
        evidence: proofs.flatMap(({ evidence }) => evidence),
        misses: proofs.flatMap(({ misses }) => misses),
        allowances: proofs.flatMap(({ allowances = [] }) => allowances),
      }
    },
  }
}
