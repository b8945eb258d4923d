/** The port in a service's name (`echo_default_svc_8080`), if it has one. */
export function portInName(service: string): number | undefined {
  const port = Number(/_svc_(\d{1,5})$/.exec(service)?.[1] ?? 0)
  return port >= 1 && port <= 65_535 ? port : undefined
}

/** The ports of a virtual address: 80, and the port in the name. */
export function servicePorts(service: string): readonly number[] {
  const named = portInName(service)
  return named === undefined || named === 80 ? [80] : [80, named]
}
