/**
 * A thread that tells another one when payments are due. It sleeps in between, so that it takes no processor from what is measured; and
 * it keeps time while the other thread is busy, which a timer there would not.
 */
import { parentPort, workerData } from "node:worker_threads"

const { dueMillis, startedAt } = workerData as { readonly dueMillis: ReadonlyArray<number>; readonly startedAt: bigint }
const cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

dueMillis.forEach((due, index) => {
  const left = due - Number(process.hrtime.bigint() - startedAt) / 1e6
  if (left > 0) Atomics.wait(cell, 0, 0, left)
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- the port of a thread has no origin
  parentPort?.postMessage(index)
})
