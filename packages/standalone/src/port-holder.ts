import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface PortHolder {
  readonly pid: number
  readonly command: string
}

const LISTENING = '0A'

/** Which process listens on a TCP port, where the system tells (Linux's /proc, for processes of the same user). */
export function portHolder(port: number): PortHolder | undefined {
  try {
    const inodes = new Set([...listeningInodes('/proc/net/tcp', port), ...listeningInodes('/proc/net/tcp6', port)])
    if (inodes.size === 0) return undefined
    for (const pid of readdirSync('/proc')) {
      if (/^\d+$/.test(pid) && holdsSocket(pid, inodes)) return { pid: Number(pid), command: commandOf(pid) }
    }
  } catch {
    // No /proc: the error message does without the name.
  }
  return undefined
}

function listeningInodes(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync(table, 'utf8').trim().split('\n').slice(1)
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(wanted) && columns[3] === LISTENING)
    .flatMap((columns) => columns[9] ?? [])
}

function holdsSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1]
      return inode !== undefined && inodes.has(inode)
    })
  } catch {
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

function commandOf(pid: string): string {
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  return command.length > 120 ? `${command.slice(0, 120)}…` : command
}
