import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { SqlClient } from "effect/sql/SqlClient"
import { createServer } from "node:http"
import { type Charge, Currency, GatewayList, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import * as Db from "../../src/public/postgres.ts"
import { GatewayHttpClient, SandboxGateway } from "../../src/public/sandbox.ts"

const gateways = Layer.unwrap(
  Effect.gen(function* () {
    const baseUrl = yield* Config.String("SANDBOX_URL")
    const secretKey = Redacted.make("sk_sandbox_a")
    return GatewayList.layer([yield* SandboxGateway.make({ name: PaymentIds.GatewayName.make("sandbox-a"), baseUrl, secretKey })])
  })
).pipe(Layer.provide(GatewayHttpClient.layer({ connectLimitMillis: 1_000 })))

const fingerprints = Layer.unwrap(Effect.map(Config.Redacted("FINGERPRINT_KEY"), Db.RequestFingerprint.layer))

/** The engine over the service's own `SqlClient`: a payment joins its transactions. */
const engine = Payments.layer.pipe(
  Layer.provide([gateways, fingerprints, Db.Ids.layer]),
  Layer.provide([Db.Postgres.layer, Db.Lock.layer, Db.GatewayMetrics.layer]),
  Layer.provide(Layer.effectDiscard(Db.Migrations.check)),
  Layer.provideMerge(PgClient.layerConfig({ url: Config.Redacted("DATABASE_URL") }))
)

const chargeOf = (order: string): Charge.ChargeRequest => ({
  tenant: PaymentIds.TenantId.make("my-shop"),
  key: PaymentIds.IdempotencyKey.make(`order-${order}`),
  amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
  method: { type: "card", token: PaymentMethod.Token.make("tok_success") }
})

/** The order and its payment in one transaction, then the outcome under the same key. */
const place = Effect.fn("place")(function* (order: string) {
  const sql = yield* SqlClient
  const payments = yield* Payments.Payments
  const charge = chargeOf(order)
  yield* sql.withTransaction(
    Effect.gen(function* () {
      const { payment } = yield* payments.prepare(charge)
      yield* sql`insert into orders (id, item, amount, payment) values (${order}, 'mug', 4990, ${payment.id}) on conflict (id) do nothing`
    })
  )
  return (yield* payments.charge(charge)).payment
})

/** What is not certain is neither paid nor failed: it is asked for again, with the same order. */
const httpStatusOf = (status: Effect.Success<ReturnType<typeof place>>["status"]): number => {
  if (status === "succeeded") return 200
  return status === "failed" || status === "cancelled" || status === "expired" ? 402 : 202
}

const routes = HttpRouter.add(
  "PUT",
  "/orders/:id",
  Effect.gen(function* () {
    const { id = "" } = yield* HttpRouter.params
    const { status } = yield* place(id)
    return HttpServerResponse.jsonUnsafe({ order: id, payment: status }, { status: httpStatusOf(status) })
  }).pipe(Effect.catchTag("RequestInProgress", () => HttpServerResponse.json({ order: "is being paid" }, { status: 409 })))
)

/** Recovery beside the requests: what a crash or a lost answer left open. */
const recovery = Layer.effectDiscard(
  Payments.Payments.use((payments) => payments.recover({ lookUpYounger: true })).pipe(
    Effect.catchCause((cause) => Effect.logError("recovery failed and is tried again", cause)),
    Effect.andThen(Effect.sleep("30 seconds")),
    Effect.forever,
    Effect.forkScoped
  )
)

export const service = Layer.merge(HttpRouter.serve(routes), recovery).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provide(engine)
)
