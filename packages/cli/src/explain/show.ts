import type { Decision, Explanation } from '@zonemesh/core/explain/sources.ts'

const decided = (rows: readonly Decision[]): string[] => rows.map(({ key, revision }) => `    by ${key} @${revision}`)

/** An explanation as text: the steps without a mismatch, then the first mismatch with a remedy. */
export function explanationLines({ steps, mismatch }: Explanation): string[] {
  return [
    ...steps.flatMap(({ step, text, decidedBy, agreement }) => [
      `✔ ${step.padEnd(11)} ${text}`,
      ...decided(decidedBy),
      ...agreement.map((note) => `    not compared: ${note}`),
    ]),
    ...(mismatch
      ? [
          `✘ ${mismatch.step.padEnd(11)} ${mismatch.problem}`,
          ...decided(mismatch.decidedBy),
          `  remedy: ${mismatch.remedy}`,
        ]
      : ['the path is open']),
  ]
}
