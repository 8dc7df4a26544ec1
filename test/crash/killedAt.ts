/**
 * The command line in a process that ends itself with SIGKILL at the crash point that AEGISPAY_CRASH_AT names. At `prepare/after-host-commit`
 * it is a host instead, which prepares a payment in a transaction of its own: no command does.
 *
 * Only this program knows that variable; it is taken out of the environment before the command line reads it.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { SqlClient } from "effect/sql/SqlClient"
import { IdempotencyKey, TenantId } from "../../src/domain/payment/Ids.ts"
import { aegispay } from "../../src/edges/cli/Commands.ts"
import * as GlobalFlags from "../../src/edges/cli/GlobalFlags.ts"
import * as Engine from "../../src/edges/cli/runtime/Engine.ts"
import * as Target from "../../src/edges/cli/runtime/Target.ts"
import { NewPayment } from "../../src/edges/http/PaymentJson.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import * as CrashPoint from "../../src/services/CrashPoint.ts"

const at = process.env["AEGISPAY_CRASH_AT"]
delete process.env["AEGISPAY_CRASH_AT"]
if (!CrashPoint.points.some((point) => point === at)) throw new Error(`AEGISPAY_CRASH_AT=${at} is no crash point`)

const die = (point: CrashPoint.Point) => Effect.sync(() => (point === at ? void process.kill(process.pid, "SIGKILL") : undefined))

/** Prepares 49.90 EUR under the name of the point, and stays for the call that follows the commit. */
const host = Command.make("host", {}, () =>
  Effect.gen(function* () {
    const target = yield* Target.load
    const request = { amount: 4990, currency: "EUR", paymentMethod: { type: "card", token: "tok_success" } }
    const { amount, currency, paymentMethod, ...rest } = yield* Schema.decodeUnknownEffect(NewPayment)(request)
    return yield* Effect.gen(function* () {
      const payments = yield* Payments
      const sql = yield* SqlClient
      const identity = { tenant: TenantId.make("m1"), key: IdempotencyKey.make(String(at)) }
      yield* sql.withTransaction(payments.prepare({ ...rest, ...identity, amount: { currency, minor: amount }, method: paymentMethod }))
      return yield* Effect.never
    }).pipe(Effect.provide(Engine.layer(target, "serve")))
  })
).pipe(Command.withGlobalFlags(GlobalFlags.all))

const options = { version: "0.0.0" }
await Effect.runPromise(
  (at === "prepare/after-host-commit" ? Command.run(host, options) : Command.run(aegispay, options)).pipe(
    Effect.provideService(CrashPoint.CrashPoint, die),
    Effect.provide(NodeServices.layer),
    Effect.scoped
  )
)
