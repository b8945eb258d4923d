/**
 * Every metric of the control planes, once. The registry of a plane, docs/metrics.md and the tests of the alerts and the
 * dashboard are made from this table.
 *
 * The values of a label are bounded: route templates, names of zones, sorts, codes. A label never holds a URL, the name
 * of a proxy, a token, or any text that a caller chooses.
 */

/** The planes that have a metric. `zone` is a zone under a global, and `standalone` one without. */
export type MetricsRole = 'global' | 'zone' | 'standalone'

export interface Declaration {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
  readonly roles: readonly MetricsRole[]
  /** The upper bounds of the buckets of a histogram, in seconds. */
  readonly buckets?: readonly number[]
}

const everyPlane = ['global', 'zone', 'standalone'] as const
const globals = ['global'] as const
const zones = ['zone', 'standalone'] as const
const joinedZones = ['zone'] as const

/** From half a millisecond to ten seconds: commits, requests, rounds of sync. */
const usual = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const
/** From ten microseconds to 0.1 s: the work of one turn of the event loop. */
const quick = [0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1] as const

const counter = <const L extends readonly string[]>(roles: readonly MetricsRole[], labels: L, help: string) =>
  ({ type: 'counter', help, labels, roles }) as const
const gauge = <const L extends readonly string[]>(roles: readonly MetricsRole[], labels: L, help: string) =>
  ({ type: 'gauge', help, labels, roles }) as const
const histogram = <const L extends readonly string[]>(
  roles: readonly MetricsRole[],
  labels: L,
  help: string,
  buckets: readonly number[] = usual,
) => ({ type: 'histogram', help, labels, roles, buckets }) as const

export const declarations = {
  // Every plane
  zonemesh_build_info: gauge(everyPlane, ['version', 'role'], 'The version and the role of this plane; always 1'),
  zonemesh_api_requests_total: counter(
    everyPlane,
    ['method', 'route', 'status'],
    'Requests to the REST API, by template of the route ("none": a path without a route) and status ("aborted": the caller left)',
  ),
  zonemesh_api_request_duration_seconds: histogram(
    everyPlane,
    ['method', 'route'],
    'Time from the request to the end of its response, with the wait for zones that it asks for, without streams of events',
  ),
  zonemesh_store_operation_duration_seconds: histogram(
    everyPlane,
    ['operation'],
    'Time of each operation of the store, as its callers see it: a commit lasts until it is durable',
  ),
  zonemesh_store_commits_total: counter(
    everyPlane,
    ['result'],
    'Rounds of commits: written, empty (nothing to write), refused (a condition did not hold) or failed',
  ),
  zonemesh_store_rows_written_total: counter(everyPlane, [], 'Versions of rows that were written to the store'),
  zonemesh_store_failures_total: counter(
    everyPlane,
    ['operation'],
    'Operations of the store that failed, for example because the disk is full or the database does not answer',
  ),
  zonemesh_store_revision: gauge(everyPlane, [], 'The newest revision of the store that this plane has seen'),
  zonemesh_store_fault: gauge(everyPlane, [], '1 while the store has noticed that it cannot write'),
  zonemesh_store_durable: gauge(everyPlane, [], '0 if the store is in memory only and is lost when the plane stops'),
  zonemesh_leader: gauge(
    everyPlane,
    ['plane'],
    '1 while this process leads the replicas of the plane ("global" or the name of the zone); 1 if it has no replicas',
  ),
  zonemesh_leads_total: counter(
    everyPlane,
    ['plane'],
    'How often this process began to lead the replicas of the plane',
  ),
  zonemesh_lead_commits_refused_total: counter(
    everyPlane,
    [],
    'Rounds of commits of this process that were refused because another process leads by now',
  ),
  zonemesh_redis_connected: gauge(
    everyPlane,
    ['form'],
    '1 while Redis answers; without a series if no Redis is set. The form is single, sentinel or cluster',
  ),
  zonemesh_redis_wakeups_total: counter(
    everyPlane,
    ['result'],
    'Wake-ups by Redis: sent, failed (the database alone wakes the others), received, or ignored (no wake-up)',
  ),
  zonemesh_redis_reconnects_total: counter(everyPlane, [], 'How often Redis answered again after it had not'),
  zonemesh_redis_errors_total: counter(
    everyPlane,
    [],
    'Errors of the connections with Redis, and commands that it refused or did not answer',
  ),
  zonemesh_expiry_seconds: gauge(
    everyPlane,
    ['what'],
    'Time until the next certificate or token of this sort expires; negative if it has expired and is still in use',
  ),
  zonemesh_expiring: gauge(
    everyPlane,
    ['what'],
    'Certificates and tokens of this sort that need an operator: soon expired, and not renewed when it was time',
  ),

  // The global
  zonemesh_zones: gauge(globals, [], 'Zones that exist, enabled or not'),
  zonemesh_zones_connected: gauge(globals, [], 'Zones with a session, with this process or with another replica'),
  zonemesh_zone_enabled: gauge(globals, ['zone'], '1 if the Zone is enabled'),
  zonemesh_zone_connected: gauge(globals, ['zone'], '1 while the zone has a session'),
  zonemesh_zone_current: gauge(
    globals,
    ['zone'],
    '1 while the zone has stored the newest mark and has confirmed this within 10 s',
  ),
  zonemesh_zone_lag_revisions: gauge(globals, ['zone'], 'Revisions of the global that the zone has not stored yet'),
  zonemesh_zone_lag_seconds: gauge(
    globals,
    ['zone'],
    'How long the oldest revision that the zone has not stored has waited for it',
  ),
  zonemesh_zone_blocked: gauge(globals, ['zone'], '1 while the zone cannot store rows'),
  zonemesh_zone_clock_ahead_seconds: gauge(
    globals,
    ['zone'],
    "How far the clock of the zone was ahead of the global's at the last bookmark; negative: behind",
  ),
  zonemesh_zone_changes_held: gauge(globals, ['zone'], 'Changes that the zone holds until an operator releases them'),
  zonemesh_zone_holds_total: counter(globals, ['zone'], 'Changes that the zone began to hold'),
  zonemesh_zone_releases_total: counter(
    globals,
    ['zone'],
    'Releases of held changes that operators requested at this global',
  ),
  zonemesh_zone_sessions_total: counter(globals, ['zone'], 'Sessions of the zone with this process'),
  zonemesh_zone_reconnects_total: counter(
    globals,
    ['zone'],
    'Sessions of a zone that had a session before, since this process started',
  ),
  zonemesh_zone_sessions_refused_total: counter(
    globals,
    ['zone'],
    'Sessions that were refused after the token was accepted, for example because another plane runs as this zone',
  ),
  zonemesh_sync_callers_refused_total: counter(
    globals,
    [],
    'Callers of the sync port that were refused because of their token or their Zone',
  ),
  zonemesh_zone_rows: gauge(
    globals,
    ['zone'],
    'Rows that the zone has stored at the global, of zones that have written since this process started',
  ),
  zonemesh_zone_bytes: gauge(
    globals,
    ['zone'],
    'Bytes of the rows that the zone has stored at the global, of zones that have written since this process started',
  ),
  zonemesh_zone_rows_refused: gauge(
    globals,
    ['zone'],
    'Rows of the zone that its limits or quotas refuse now, at most 1,000 of each',
  ),
  zonemesh_zone_rows_quarantined: gauge(globals, ['zone'], 'Rows that the zone does not compile'),
  zonemesh_zone_parts_refused: gauge(
    globals,
    ['zone'],
    'Parts of configuration that the zone leaves out, most often because an Envoy refused them',
  ),
  zonemesh_zone_proxies: gauge(globals, ['zone'], 'Proxies of the zone'),
  zonemesh_zone_proxies_connected: gauge(globals, ['zone'], 'Proxies of the zone with a stream'),
  zonemesh_commit_to_stored_seconds: histogram(
    globals,
    ['zone'],
    'Time from a commit at the global to the bookmark in which the zone reports that it has stored it',
  ),
  zonemesh_commit_to_served_seconds: histogram(
    globals,
    ['zone'],
    'Time from a commit at the global to the bookmark in which the zone reports that its proxies serve it',
  ),

  // Zones
  zonemesh_compile_duration_seconds: histogram(
    zones,
    [],
    'Time to bring the tables of all proxies to a new mark: read the changes, compile, publish',
  ),
  zonemesh_compile_failures_total: counter(
    zones,
    [],
    'Tables that could not be compiled; their proxies keep the last ones',
  ),
  zonemesh_units_compiled_total: counter(zones, [], 'Units of configuration that were compiled'),
  zonemesh_rows_quarantined: gauge(zones, [], 'Rows that this zone does not compile, because they make a unit fail'),
  zonemesh_parts_refused: gauge(zones, [], 'Parts of configuration that are left out because an Envoy refused them'),
  zonemesh_proxies_connected: gauge(zones, [], 'Proxies with a stream'),
  zonemesh_proxies_silent: gauge(zones, [], 'Proxies that have not answered their newest table within two seconds'),
  zonemesh_xds_streams_total: counter(zones, [], 'Streams of proxies that were admitted'),
  zonemesh_xds_flush_duration_seconds: histogram(
    zones,
    [],
    'Time to decide, encode and write the responses that follow from one event of a stream',
    quick,
  ),
  zonemesh_xds_table_served_seconds: histogram(
    zones,
    [],
    'Time from the publication of a table to the answer of its proxy, accepted or refused',
  ),
  zonemesh_xds_responses_total: counter(zones, ['type'], 'Responses to proxies, by type of resource'),
  zonemesh_xds_refusals_total: counter(zones, ['type'], 'Resources that an Envoy refused, by type of resource'),
  zonemesh_dns_answers_total: counter(zones, ['rcode'], 'Answers of the resolver, by response code'),
  zonemesh_dns_answer_duration_seconds: histogram(
    zones,
    [],
    'Time to answer a question about the own domain; one of 64 answers is measured',
    quick,
  ),
  zonemesh_dns_forward_duration_seconds: histogram(
    zones,
    [],
    'Time until an upstream has answered a forwarded question',
  ),
  zonemesh_certificate_issue_duration_seconds: histogram(
    zones,
    [],
    'Time to create the key of a workload certificate and to sign it',
  ),
  zonemesh_certificate_failures_total: counter(
    zones,
    [],
    'Workload certificates that could not be issued; each is tried again after 5 s',
  ),

  // Zones under a global
  zonemesh_uplink_connected: gauge(joinedZones, [], '1 while this zone has a session with its global'),
  zonemesh_uplink_standby: gauge(joinedZones, [], '1 while another process of this zone has the session'),
  zonemesh_uplink_current: gauge(
    joinedZones,
    [],
    '1 while this zone has all that its global has, confirmed within 10 s',
  ),
  zonemesh_uplink_lag_revisions: gauge(joinedZones, [], 'Revisions of the global that this zone has not stored yet'),
  zonemesh_uplink_changes_held: gauge(joinedZones, [], 'Changes that this zone holds until an operator releases them'),
  zonemesh_uplink_holds_total: counter(joinedZones, [], 'Changes that this zone began to hold'),
  zonemesh_uplink_releases_total: counter(
    joinedZones,
    [],
    'Releases of held changes that operators requested at this zone',
  ),
  zonemesh_uplink_sessions_total: counter(joinedZones, [], 'Sessions of this zone with its global'),
  zonemesh_uplink_reconnects_total: counter(
    joinedZones,
    [],
    'Sessions with the global after the first one since this process started',
  ),

  // The process
  nodejs_eventloop_delay_seconds: histogram(
    everyPlane,
    [],
    'How late the event loop runs a timer, ten times per second: other work waits as long',
  ),
  nodejs_gc_duration_seconds: histogram(everyPlane, ['kind'], 'Time of each garbage collection, by kind'),
  nodejs_heap_used_bytes: gauge(everyPlane, [], 'Heap in use by objects'),
  nodejs_heap_size_bytes: gauge(everyPlane, [], 'Heap that is reserved'),
  nodejs_external_memory_bytes: gauge(everyPlane, [], 'Memory of buffers outside of the heap'),
  nodejs_version_info: gauge(everyPlane, ['version'], 'The version of Node; always 1'),
  process_cpu_seconds_total: counter(everyPlane, [], 'User and system time of the process'),
  process_resident_memory_bytes: gauge(everyPlane, [], 'Resident memory of the process'),
  process_start_time_seconds: gauge(everyPlane, [], 'Start of the process, in seconds since 1970'),
} as const satisfies Readonly<Record<string, Declaration>>

export type MetricName = keyof typeof declarations
