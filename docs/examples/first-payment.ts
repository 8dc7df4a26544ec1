import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Currency, GatewayList, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { SandboxGateway } from "../../src/public/sandbox.ts"
import * as Db from "../../src/public/postgres.ts"
import { Sandbox } from "../../src/public/testing.ts"

/** A PSP to pay at: the sandbox, on a free port. */
const gateways = Layer.unwrap(
  Effect.gen(function* () {
    const { url } = yield* Sandbox.Sandbox
    const gateway = yield* SandboxGateway.make({
      name: PaymentIds.GatewayName.make("sandbox-a"),
      baseUrl: `${url}/a`,
      secretKey: Redacted.make("sk_sandbox_a")
    })
    return GatewayList.layer([gateway])
  })
).pipe(Layer.provide([Sandbox.layerNode({ port: 0 }), NodeHttpClient.layerUndici]))

/** The engine over an embedded database in this directory. The fingerprint key belongs to the database and never changes. */
export const engine = (dataDir: string) =>
  Payments.layer.pipe(
    Layer.provide([gateways, Db.RequestFingerprint.layer(Redacted.make("32 random bytes, kept as a secret")), Db.Ids.layer]),
    Layer.provide([Db.Postgres.layer, Db.Lock.layer, Db.GatewayMetrics.layer]),
    Layer.provide(Db.Migrations.layer),
    Layer.provide(Db.EmbeddedPostgres.layerClient({ dataDir }))
  )

/** Charges 49.90 EUR. Running it again with the same key returns the same payment. */
export const firstPayment = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge({
    tenant: PaymentIds.TenantId.make("my-shop"),
    key: PaymentIds.IdempotencyKey.make("order-1001"),
    amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
    method: { type: "card", token: PaymentMethod.Token.make("tok_success") }
  })
  return payment
})

// await Effect.runPromise(firstPayment.pipe(Effect.provide(engine("./payments-db"))))
