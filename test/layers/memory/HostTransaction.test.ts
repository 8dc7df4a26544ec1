/**
 * Memory has no transactions of the host: nobody is inside one, and what waits for a commit runs at once.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as MemoryHostTransaction from "../../../src/layers/memory/HostTransaction.ts"
import { HostTransaction } from "../../../src/services/HostTransaction.ts"

it.effect("HostTransaction: memory has none", () =>
  Effect.gen(function* () {
    const transaction = yield* HostTransaction
    const ran: Array<string> = []
    assert.isFalse(yield* transaction.isOpen)
    assert.strictEqual(yield* transaction.outside(Effect.succeed("same")), "same")
    yield* transaction.afterCommit(Effect.sync(() => ran.push("at once")))
    assert.deepStrictEqual(ran, ["at once"])
  }).pipe(Effect.provide(MemoryHostTransaction.layer))
)
