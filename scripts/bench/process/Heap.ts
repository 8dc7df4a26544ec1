/** Sizes of this process's heap that can be compared: after full collections. */
import * as Effect from "effect/Effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

/** Collections for one size at the most. */
const maxCollections = 10

/** Bytes of the heap in use when another full collection finds nothing more: what finalizers hold goes with the one after. */
export const heapBytes: Effect.Effect<number> = Effect.gen(function* () {
  let bytes = Number.POSITIVE_INFINITY
  for (let collections = 0; collections < maxCollections; collections++) {
    yield* Effect.sleep("20 millis")
    collect()
    const { heapUsed } = process.memoryUsage()
    if (heapUsed >= bytes) return bytes
    bytes = heapUsed
  }
  return bytes
})
