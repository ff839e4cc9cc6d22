/** Takes a lock, prints `held`, and holds it until the process is killed. */
import { lockFile } from '../lock.ts'

lockFile(process.argv[2] ?? '')
process.stdout.write('held\n')
setInterval(() => {}, 60_000)
