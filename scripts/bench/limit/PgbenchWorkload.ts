/**
 * `pgbench`: what the database can do at most, in the same rounds as the engine.
 *
 * pgbench writes the payments of `Tables.ts` with prepared statements and does nothing else. Where it is not installed (Debian:
 * postgresql-contrib), the same statements run through the engine's own driver: then the limit is the driver's as well.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Database from "../engine/Database.ts"
import * as Engine from "../engine/Engine.ts"
import { alternate, type Case, type Options, ratioOf, repeatFor, type Report, resultsOf } from "../Harness.ts"
import * as Tables from "../peers/Tables.ts"
import * as Subject from "../engine/Subject.ts"
import * as Pgbench from "./Pgbench.ts"

/** Clients of the limit. What the server has no room for is left out. */
const clientCounts = [1, 8, 32, 64]
/** Of the engine. */
const usualConcurrency = [256]
const yardstick = { form: Pgbench.forms.cte, clients: 32 }

const nameOf = (form: Pgbench.Form, clients: number) => `${form.name}, ${clients} ${clients === 1 ? "client" : "clients"}`

let number = 0

/** A form through the driver: the script's statements with a new number, in transactions where it says so. */
const throughDriver = (url: URL, form: Pgbench.Form, options: { readonly clients: number; readonly seconds: number }) =>
  Effect.gen(function* () {
    const sql = yield* PgClient.make({ url: Redacted.make(url.toString()), maxConnections: options.clients })
    const texts = form.script.split(";\n").flatMap((text) => {
      const statement = text.replaceAll(/^\\set.*\n/gm, "")
      return statement === "" ? [] : [statement.replaceAll(":number", "$1")]
    })
    const transactions: Array<Array<string>> = []
    let open = false
    for (const text of texts) {
      if (text === "begin" || text === "commit") open = text === "begin"
      if (text === "begin") transactions.push([])
      else if (text !== "commit" && open) transactions.at(-1)?.push(text)
      else if (text !== "commit") transactions.push([text])
    }
    const one = Effect.gen(function* () {
      number += form.payments
      const own = number
      for (const statements of transactions) {
        const all = Effect.forEach(statements, (text) => sql.unsafe(text, text.includes("$1") ? [own] : []), { discard: true })
        yield* statements.length === 1 ? all : sql.withTransaction(all)
      }
    })
    const { perSecond } = yield* repeatFor({ one, concurrency: options.clients, seconds: options.seconds })
    return perSecond * form.payments
  }).pipe(Effect.scoped, Effect.provide(Reactivity.layer), Effect.orDie)

const limitCase = (
  url: URL,
  form: Pgbench.Form,
  options: { readonly clients: number; readonly seconds: number; readonly program: boolean }
): Case => ({
  name: nameOf(form, options.clients),
  measure: Effect.map((options.program ? Pgbench.run : throughDriver)(url, form, options), (perSecond) => ({ "payments/s": perSecond }))
})

/** Runs the workload. */
export const run = (options: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const { only, rounds, seconds } = options
    const concurrency = options.concurrency.length === 0 ? usualConcurrency : options.concurrency
    const server = yield* Database.server(options)
    const program = Pgbench.isInstalled()
    const url = server.urlOf(yield* server.createEmpty)
    yield* PgClient.make({ url: Redacted.make(url.toString()), maxConnections: 1 }).pipe(
      Effect.flatMap((sql) => Effect.forEach(Tables.ddl.split(";"), (statement) => sql.unsafe(statement))),
      Effect.scoped,
      Effect.provide(Reactivity.layer),
      Effect.orDie
    )
    const engine = Subject.enginePostgres(server, { name: "AegisPay", database: yield* server.create, gateways: Engine.instantGateways })
    const counts = clientCounts.filter((clients) => clients <= server.room)
    const cases = [
      ...concurrency.map((fibers) => Subject.postgresCase(server, engine, { concurrency: fibers, seconds })),
      ...Object.values(Pgbench.forms).flatMap((form) => counts.map((clients) => limitCase(url, form, { clients, seconds, program })))
    ].filter(({ name }) => name.startsWith("AegisPay") || name.includes(only))
    const samples = yield* alternate("pgbench", cases, rounds)
    const over = nameOf(yardstick.form, yardstick.clients)
    return {
      workload: "pgbench",
      facts: {
        Postgres: `${server.version}, ${server.settings}`,
        through: program ? "pgbench --protocol=prepared, whole seconds" : "the driver @effect/sql-pg: pgbench is not installed"
      },
      cases: resultsOf(samples),
      ratios: samples.has(over)
        ? concurrency.map((fibers) =>
            ratioOf(samples, {
              name: `payments/s: AegisPay, c=${fibers} / ${over}`,
              of: `AegisPay, c=${fibers}`,
              over,
              number: "payments/s"
            })
          )
        : [],
      notes: [
        ...clientCounts
          .filter((clients) => clients > server.room)
          .map(
            (clients) =>
              `${clients} clients were left out: the server has room for ${server.room}. AEGISPAY_TEST_DATABASE_URL names another one.`
          ),
        "Statements per payment: 6 inserts and 2 updates in two durable transactions; pgbench checks no answer and decides nothing."
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
