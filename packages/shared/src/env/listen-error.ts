import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { messageOf } from '../base/base.ts'

/** A listener that could not be opened, with the options that choose its address. */
export interface ListenPlace {
  /** What it serves: `the HTTP API`. */
  readonly what: string
  readonly host: string
  readonly port: number
  /** The option of its port: `--api-port`. */
  readonly option: string
  readonly hostOption?: string
}

/**
 * The error of a listener that could not be opened: which option chose the address, which process holds it, and what to
 * do.
 */
export function listenError(cause: unknown, place: ListenPlace): Error {
  const { what, host, port } = place
  const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
  return new Error(`cannot listen on ${at} for ${what}: ${reasonOf(cause, place)}`, { cause })
}

function reasonOf(cause: unknown, place: ListenPlace): string {
  const { port, option, hostOption = '--host' } = place
  const { code, syscall }: NodeJS.ErrnoException = cause instanceof Error ? cause : new Error(String(cause))
  const variable = `ZONEMESH_${option.slice(2).replaceAll('-', '_').toUpperCase()}`
  const choose = `choose another with ${option} N (${variable})`
  switch (code) {
    case 'EADDRINUSE':
      // Node names the call that failed: a UDP socket is bound, and a TCP socket listens.
      return `${inUse(holderOf(port, syscall === 'bind' ? 'udp' : 'tcp'), choose)}`
    case 'EACCES':
      return `this user may not open port ${port}; ${choose}`
    case 'EADDRNOTAVAIL':
      return `this machine has no such address; choose one of its addresses with ${hostOption}`
    default:
      return messageOf(cause)
  }
}

function inUse(holder: Holder | undefined, choose: string): string {
  if (holder === undefined) return `the port is in use by another process; ${choose}`
  const { pid, name } = holder
  if (pid === process.pid) return `this process already uses the port; ${choose}`
  return `the port is in use by ${name} (pid ${pid}); ${choose}, or stop pid ${pid} (${name})`
}

export interface Holder {
  readonly pid: number
  readonly name: string
}

/**
 * The process that holds a port, from Linux's `/proc`. Undefined on other systems, and for a process of another user.
 */
export function holderOf(port: number, protocol: 'tcp' | 'udp', proc = '/proc'): Holder | undefined {
  try {
    const inodes = new Set(['', '6'].flatMap((family) => inodesIn(`${proc}/net/${protocol}${family}`, port, protocol)))
    if (inodes.size === 0) return undefined
    const pids = readdirSync(proc).filter((name) => /^\d+$/.test(name))
    const pid = pids.find((one) => holds(`${proc}/${one}/fd`, inodes))
    return pid === undefined ? undefined : { pid: Number(pid), name: nameOf(`${proc}/${pid}`) }
  } catch {
    return undefined
  }
}

/** States of sockets in `/proc/net`: a TCP socket that listens, and a bound UDP socket. */
const stateBound = { tcp: '0A', udp: '07' }

/** The inodes of the sockets that listen on a port. A line has index, local address, peer, state, …, inode (the 10th). */
function inodesIn(file: string, port: number, protocol: 'tcp' | 'udp'): readonly string[] {
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    // Without IPv6 there is no file.
  }
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    return local.endsWith(`:${hex}`) && state === stateBound[protocol] && inode !== undefined ? [inode] : []
  })
}

function holds(folder: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(folder).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`${folder}/${fd}`))?.[1]
      return inode !== undefined && inodes.has(inode)
    })
  } catch {
    // A process of another user, or one that has ended.
    return false
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** The name of a process. Node calls its main thread `MainThread`, so the program names it. */
function nameOf(folder: string): string {
  const name = readFileSync(`${folder}/comm`, 'utf8').trim()
  if (name !== 'MainThread') return name
  const [program = ''] = readFileSync(`${folder}/cmdline`, 'utf8').split('\0')
  return basename(program) || name
}
