/** Takes a lock, says so, and holds it until it is killed. */
import { lockFile } from '../lock.ts'

lockFile(process.argv[2] ?? '')
process.stdout.write('held\n')
setInterval(() => {}, 60_000)
