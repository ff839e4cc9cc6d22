/** Which boot of the machine this is: what was written before a crash of the machine may not have reached the disk. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'

/** The same as long as the machine runs. Where the system does not tell, another for each process. */
export function bootId(): string {
  known ??= read() || randomUUID()
  return known
}

let known: string | undefined

function read(): string {
  try {
    if (process.platform === 'darwin') return execFileSync('sysctl', ['-n', 'kern.bootsessionuuid'], { encoding: 'utf8' }).trim()
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return ''
  }
}
