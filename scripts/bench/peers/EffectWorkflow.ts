/**
 * effect's own durable workflows on its cluster engine, with messages in Postgres: a workflow of two activities per payment.
 *
 * It runs in this process as the only runner, which spares it all talk between runners. The rows are stored by the same statements
 * as the others', and the same driver as the engine's.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as ClusterWorkflowEngine from "effect/cluster/ClusterWorkflowEngine"
import * as SingleRunner from "effect/cluster/SingleRunner"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as Activity from "effect/workflow/Activity"
import * as Workflow from "effect/workflow/Workflow"
import { maxConnections, type Peer } from "./Peer.ts"
import * as Tables from "./Tables.ts"

const { intentAtOnce, outcomeAtOnce } = Tables.statementsOf("$1::uuid", "$2::text", "$3::text")

const payment = Workflow.make("Payment", {
  payload: { id: Schema.String, key: Schema.String },
  idempotencyKey: ({ key }) => key
})

const store = (text: string, ids: { readonly id: string; readonly key: string }) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.orDie(sql.unsafe(text, [ids.id, ids.key, Tables.data])))

const program = payment.toLayer((ids) =>
  Effect.gen(function* () {
    yield* Activity.make({ name: "intent", execute: store(intentAtOnce, ids) })
    yield* Activity.make({ name: "call and outcome", execute: store(outcomeAtOnce, ids) })
  })
)

const clientOf = (url: URL) => PgClient.layer({ url: Redacted.make(url.toString()), maxConnections })

const engineOf = (url: URL) =>
  program.pipe(
    Layer.provideMerge(ClusterWorkflowEngine.layer),
    Layer.provide(SingleRunner.layer({ runnerStorage: "memory" })),
    Layer.provide(Digest.layerWebCrypto),
    Layer.provideMerge(clientOf(url)),
    Layer.orDie
  )

const pay = Effect.suspend(() => payment.execute(Tables.nextIds()))

/** The peer: it comes with effect. */
export const peer: Peer = {
  name: "effect workflow",
  prepare: async (url) => {
    const runtime = ManagedRuntime.make(Layer.orDie(clientOf(url)))
    await runtime.runPromise(
      Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.forEach(Tables.ddl.split(";"), (statement) => sql.unsafe(statement)))
    )
    await runtime.dispose()
  },
  open: async (url) => {
    const runtime = ManagedRuntime.make(engineOf(url))
    // The first payment waits until the shards are there.
    await runtime.runPromise(pay)
    return { pay: () => runtime.runPromise(pay), close: () => runtime.dispose() }
  }
}
