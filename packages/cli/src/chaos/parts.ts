import { z } from 'zod'

/**
 * A container of a stack that carries no traffic: a replica of a plane, a database, Redis or a balancer. Its name is that
 * of its service.
 */
export const part = z.object({
  name: z.string(),
  kind: z.enum(['global', 'zone', 'database', 'redis', 'balancer']),
  /** The zone of a replica. */
  zone: z.string().optional(),
  /** The port on which a probe asks it whether it answers. */
  port: z.number(),
  /** How many processes share its plane, with itself. */
  replicas: z.number().default(1),
  /** Its networks in the compose project. */
  networks: z.array(z.string()),
  /** Another name of it in its networks. */
  alias: z.string().optional(),
})
export type Part = z.infer<typeof part>

/** What a probe sends: each of them answers at least one byte, and a paused process answers nothing. */
export function greetingOf({ kind }: Part): string {
  switch (kind) {
    case 'global':
    case 'zone':
    case 'balancer':
      return 'GET /ready HTTP/1.0\\r\\n\\r\\n'
    case 'database':
      // The request of PostgreSQL for TLS.
      return '\\x00\\x00\\x00\\x08\\x04\\xd2\\x16\\x2f'
    case 'redis':
      return 'PING\\r\\n'
  }
}
