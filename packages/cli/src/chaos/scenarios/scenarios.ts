import { whileCommitsGoOn, whileSessionsStay, whileStatusAnswers } from '../faults/conditions.ts'
import { type Fault, flap, halfOpen, kill, late, loss, partition, slow } from '../faults/faults.ts'
import { flushRedis } from '../faults/flush.ts'
import { stopPart } from '../faults/part-faults.ts'
import { poison } from '../faults/poison.ts'
import { together } from '../faults/together.ts'
import type { Part } from '../parts.ts'
import type { Stack } from '../stack.ts'
import type { Draw } from './draw.ts'

/** What a scenario can break. A stack of processes has one global and one process for each zone. */
interface Places {
  readonly zones: readonly string[]
  readonly globals: readonly Part[]
  /** The processes of zones that have several. */
  readonly replicas: readonly Part[]
  readonly database: Part | undefined
  readonly redis: Part | undefined
  readonly balancer: Part | undefined
}

/** A real outage as a sequence of faults. */
export interface Scenario {
  readonly name: string
  /** What happened to whom. */
  readonly happened: string
  /** What the scenario does. */
  readonly does: string
  /** What must hold in addition to all guarantees. */
  readonly holds: string
  /** The parts of a stack that the scenario needs; undefined if every stack has them. */
  readonly needs?: string
  /** Draws the places and times from a seed. Undefined if the stack lacks what the scenario needs. */
  faults(places: Places, draw: Draw): readonly Fault[] | undefined
}

const placesOf = ({ zones, parts }: Pick<Stack, 'zones' | 'parts'>): Places => {
  const of = (kind: Part['kind']) => parts.filter((one) => one.kind === kind)
  return {
    zones: Object.keys(zones),
    globals: of('global'),
    replicas: of('zone').filter(({ replicas }) => replicas > 1),
    database: of('database')[0],
    redis: of('redis')[0],
    balancer: of('balancer')[0],
  }
}

export const scenarios: readonly Scenario[] = [
  {
    name: 'lost-hub',
    happened:
      'GitHub, 21 October 2018: for 43 seconds a site could not reach the primary databases. Another site took over, both had writes that the other one lacked, and the repair took 24 hours.',
    does: 'It cuts the line between a zone and the globals for longer than a session lives, while the globals commit changes.',
    holds: 'The zone and the globals report the cut, and the zone has every change within seconds of its end.',
    faults: ({ zones }, { one, number }) => [partition(one(zones), number(14_000, 20_000), 'both')],
  },
  {
    name: 'one-way',
    happened:
      'Cloudflare, 2 November 2020: a switch that failed only in part forwarded some packets and dropped others. The members of a cluster disagreed about who was alive, and elected leaders again and again for hours.',
    does: 'It drops the bytes of one direction of a line, and then interrupts the line of another zone every two seconds.',
    holds: 'Both ends of the line report the cut, and short interruptions end no session.',
    faults: ({ zones }, { one, number }) => [
      partition(one(zones), number(11_000, 13_000), one(['up', 'down'])),
      whileSessionsStay(flap(one(zones), 2_000, 4)),
    ],
  },
  {
    name: 'stale-worker',
    happened:
      'AWS us-east-1, 20 October 2025: a worker that had been delayed applied an old plan of DNS records over a newer one, and a clean-up then deleted that plan. A regional endpoint had no address.',
    does: 'It pauses a global and a replica of a zone for longer than a lead lasts, and then lets both continue with what they had in memory.',
    holds:
      'Another process leads in the meantime, and the database refuses what the paused ones still want to write. No address is lost or changes.',
    needs: 'several globals and several replicas of a zone',
    faults: ({ globals, replicas }, { one, number }) =>
      globals.length < 2 || replicas.length < 2
        ? undefined
        : [
            together([
              stopPart('pause', one(globals), number(10_000, 13_000)),
              stopPart('pause', one(replicas), number(10_000, 13_000)),
            ]),
          ],
  },
  {
    name: 'silent-balancer',
    happened:
      'Kuma, issue 16428: a balancer kept the connections of zones open after the global behind them was replaced. The zones received no change until somebody restarted them.',
    does: 'It pauses the balancer, so that connections stay open and nothing arrives, or replaces the global behind a line that stays open.',
    holds: 'Zones notice the silence, open new sessions, and receive the changes that they missed.',
    faults: ({ balancer, zones }, { one, number }) => [
      balancer ? stopPart('pause', balancer, number(10_000, 13_000)) : halfOpen(one(zones)),
    ],
  },
  {
    name: 'shared-fate',
    happened:
      'Roblox, October 2021: Consul stopped under load for 73 hours. The monitoring of the engineers depended on the same Consul, so they searched in the dark.',
    does: 'It pauses PostgreSQL, on which the globals and a zone depend.',
    holds: 'Every zone still answers for its status, names resolve, and requests pass.',
    needs: 'a database',
    faults: ({ database }, { number }) =>
      database ? [whileStatusAnswers(stopPart('pause', database, number(9_000, 12_000)))] : undefined,
  },
  {
    name: 'stalled-notify',
    happened:
      'Recall.ai, March 2025: NOTIFY of PostgreSQL takes one lock for the whole server when it commits. Under load, that lock stopped all commits, three times.',
    does: 'It removes all keys from Redis, which carries the wake-ups here, and then pauses it.',
    holds: 'Commits never stop for more than five seconds, and their changes arrive, because a wake-up is only a hint.',
    needs: 'Redis',
    faults: ({ redis }, { number }) =>
      redis
        ? [whileCommitsGoOn(flushRedis(redis)), whileCommitsGoOn(stopPart('pause', redis, number(7_000, 10_000)))]
        : undefined,
  },
  {
    name: 'herd',
    happened:
      'AWS Kinesis, 25 November 2020: the servers of a fleet had to be restarted together. They all loaded their state at once, so they could return only a few at a time, and that took most of a day.',
    does: 'It kills every global at once, and the zones return together.',
    holds: 'All zones are current within the usual limit.',
    faults: ({ globals }, { number }) => {
      const ms = number(3_000, 6_000)
      return [globals.length > 0 ? together(globals.map((one) => stopPart('kill', one, ms))) : kill('global', ms)]
    },
  },
  {
    name: 'thin-line',
    happened:
      'Slack, 4 January 2021: on the first day of work of the year, the gateways between networks of its cloud were too small. Packets were lost everywhere, and healthy servers were replaced because checks timed out.',
    does: 'It loses a part of the packets of one line, delays another one, and limits the rate of a third one, all at the same time.',
    holds: 'No session ends, and the changes of each zone arrive, only later.',
    faults: ({ zones }, { number }) => {
      const [first = '', second = first, third = second] = zones
      const ms = number(10_000, 13_000)
      const lines = [loss(first, number(10, 20), ms), late(second, number(200, 300), 100, ms)]
      // One line has one fault at a time.
      if (zones.length < 3) return lines.map(whileSessionsStay)
      return [whileSessionsStay(together([...lines, slow(third, number(2_000, 3_000), ms)]))]
    },
  },
  {
    name: 'poison-row',
    happened:
      'Google Cloud, 12 June 2025: a policy with blank fields reached every region within seconds. Each reader crashed on it, and a herd of restarts made the outage longer.',
    does: 'It sends policies with blank and hostile fields to the globals again and again, while a process that reads policies is killed and started.',
    holds: 'Each of them is refused as a bad request, and good changes still arrive.',
    faults: ({ globals, replicas, zones }, { one, number }) => [
      together([
        poison(8_000),
        globals.length > 0 && replicas.length > 0
          ? stopPart('kill', one(replicas), number(3_000, 5_000))
          : kill(`zone-${one(zones)}`, 3_000),
      ]),
    ],
  },
  {
    name: 'lost-primary',
    happened:
      'Stripe, 10 July 2019: several members of a database stalled, and their cluster could not elect a new primary. Hours later the repair itself caused a second outage.',
    does: 'It kills the database in the middle of commits, and takes it off its networks a moment after its return.',
    holds:
      'A commit that a caller was told of is still there, and everything is current soon after the database answers.',
    needs: 'a database',
    faults: ({ database }, { number }) =>
      database
        ? [stopPart('kill', database, number(3_000, 6_000)), stopPart('disconnect', database, number(5_000, 8_000))]
        : undefined,
  },
]

/** The scenarios with their faults for a stack, and the names of those for which it lacks a part. */
export function planScenarios(
  chosen: readonly Scenario[],
  stack: Pick<Stack, 'zones' | 'parts'>,
  draw: Draw,
): { readonly faults: readonly Fault[]; readonly lacking: readonly Scenario[] } {
  const places = placesOf(stack)
  const planned = chosen.map((scenario) => ({ scenario, faults: scenario.faults(places, draw) }))
  return {
    faults: planned.flatMap(({ scenario, faults = [] }) =>
      faults.map((fault) => ({ ...fault, scenario: scenario.name })),
    ),
    lacking: planned.filter(({ faults }) => faults === undefined).map(({ scenario }) => scenario),
  }
}
