/** Chooses a port for a sandbox when it is told to, as a first start does, and is killed: it never gives back what it has claimed. */
import { freePort } from "../../../src/edges/cli/runtime/FreePort.ts"

process.on("message", (preferred: number) => void freePort(preferred).then((port) => process.send?.(port)))
process.send?.("ready")
