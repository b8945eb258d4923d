import type { Judge, Violation } from './history.ts'

/** G5: on every plane, a row has the content that its owner wrote with that stamp, so no other plane has changed it. */
export const judgeOwnerOnly: Judge = (history) => {
  const violations: Violation[] = []
  const written = new Map<string, Set<string>>()
  for (const event of history) {
    if (event.type !== 'written') continue
    for (const version of event.versions) {
      const name = `${version.key} ${version.incarnation}.${version.originRevision}`
      if (version.state === 'forgotten') continue
      if (version.origin === event.plane) {
        written.set(name, (written.get(name) ?? new Set()).add(version.content))
      } else if (!written.get(name)?.has(version.content)) {
        const reason = `${event.plane} holds ${name} with content that its owner ${version.origin} never wrote`
        violations.push({ guarantee: 'G5', atMs: event.atMs, reason })
      }
    }
  }
  return violations
}
