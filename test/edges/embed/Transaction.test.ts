/**
 * When a host's transaction commits, and what its end is told as: on a connection that keeps a record of its statements.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import * as SqlError from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Errors from "../../../src/edges/embed/Errors.ts"
import * as Transaction from "../../../src/edges/embed/Transaction.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"

type Handle = Transaction.Transaction<never>

/** A connection whose commit is held until it is let go, and fails where it is told to. */
const database = (options: { readonly holds?: boolean; readonly loses?: boolean } = {}) => {
  const statements: Array<string> = []
  const committing = Promise.withResolvers<void>()
  const letGo = Promise.withResolvers<void>()
  if (options.holds !== true) letGo.resolve()
  const lost = new SqlError.SqlError({
    reason: new SqlError.ConnectionError({ cause: new Error("reset"), message: "reset", operation: "execute" })
  })
  const execute = (statement: string) =>
    Effect.gen(function* () {
      if (statement === "COMMIT") {
        committing.resolve()
        yield* Effect.promise(() => letGo.promise)
        if (options.loses === true) return yield* lost
      }
      if (statement === "refused") return yield* lost
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      statements.push(statement)
      return []
    })
  const connection = {
    execute,
    executeRaw: execute,
    executeValues: execute,
    executeValuesUnprepared: execute,
    executeUnprepared: execute,
    executeStream: () => assert.fail("nothing is streamed")
  } as unknown as Connection
  const client = SqlClient.make({
    acquirer: Effect.succeed(connection),
    compiler: Statement.makeCompilerSqlite(),
    driver: "recorded",
    spanAttributes: []
  })
  const layer = Layer.effect(SqlClient.SqlClient, client).pipe(Layer.provide(Reactivity.layer))
  const runtime = ManagedRuntime.make(Layer.merge(layer, Layer.succeed(Payments, {} as Payments["Service"])))
  const run = async <A>(work: (tx: Handle) => Promise<A>, signal?: AbortSignal) => {
    const { interrupted, program } = Transaction.make<never, A, never>(work, () => Effect.die("not prepared here"), signal)
    return Errors.valueOf("transaction", await runtime.runPromiseExit(program), interrupted)
  }
  return { run, statements, committing: committing.promise, letGo: () => letGo.resolve(), close: () => runtime.dispose() }
}

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => assert.fail(`it answered ${JSON.stringify(value)}`),
    (error: unknown) => error
  )

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe("a signal", () => {
  it("between the commit and its acknowledgement changes nothing: the commit is waited for", async () => {
    const { committing, letGo, run, statements } = database({ holds: true })
    const controller = new AbortController()
    const running = run(async (tx) => {
      await tx.query("insert a")
      return "done"
    }, controller.signal)
    await committing
    controller.abort()
    await turn()
    letGo()
    assert.strictEqual(await running, "done")
    assert.deepStrictEqual(statements, ["BEGIN", "insert a", "COMMIT"])
  })

  it("during a commit that nobody acknowledges: it is not known", async () => {
    const { committing, letGo, run } = database({ holds: true, loses: true })
    const controller = new AbortController()
    const running = rejection(run((tx) => tx.query("insert a"), controller.signal))
    await committing
    controller.abort()
    letGo()
    assert.instanceOf(await running, Errors.OutcomeUnknown)
  })

  it("before the commit rolls back, and nothing was started", async () => {
    const { run, statements } = database()
    const controller = new AbortController()
    const mine = new Error("the customer left")
    const error = await rejection(
      run(async (tx) => {
        await tx.query("insert a")
        controller.abort(mine)
        return "done"
      }, controller.signal)
    )
    assert.instanceOf(error, Errors.Aborted)
    assert.deepStrictEqual([error.started, error.cause], [false, mine])
    assert.deepStrictEqual(statements, ["BEGIN", "insert a", "ROLLBACK"])
  })

  it("before it began asks the database nothing", async () => {
    const { run, statements } = database()
    const error = await rejection(run((tx) => tx.query("insert a"), AbortSignal.abort()))
    assert.deepInclude(error, { _tag: "Aborted", started: false })
    assert.notInclude(statements, "COMMIT")
  })
})

describe("the end of the engine", () => {
  it("during the commit: it is not known", async () => {
    const { close, committing, letGo, run } = database({ holds: true })
    const running = rejection(run((tx) => tx.query("insert a")))
    await committing
    const closing = close()
    await turn()
    letGo()
    await closing
    assert.instanceOf(await running, Errors.OutcomeUnknown)
  })

  it("before the commit rolls back, and nothing was started", async () => {
    const { close, run, statements } = database()
    const inside = Promise.withResolvers<void>()
    const running = rejection(
      run(async (tx) => {
        await tx.query("insert a")
        inside.resolve()
        await new Promise(() => {})
      })
    )
    await inside.promise
    await close()
    assert.deepInclude(await running, { _tag: "Aborted", started: false })
    assert.deepStrictEqual(statements, ["BEGIN", "insert a", "ROLLBACK"])
  })
})

describe("what the host's function did not await", () => {
  it("is committed with all that follows from it", async () => {
    const { run, statements } = database()
    await run(async (tx) => {
      void tx
        .query("insert a")
        .then(() => tx.query("insert b"))
        .then(async () => {
          for (let microtask = 0; microtask < 100; microtask++) await Promise.resolve()
          return tx.query("insert c")
        })
    })
    assert.deepStrictEqual(statements, ["BEGIN", "insert a", "insert b", "insert c", "COMMIT"])
  })

  it("rolls back where it fails, whatever becomes of the failure", async () => {
    const { run, statements } = database()
    const error = await rejection(
      run(async (tx) => {
        void tx
          .query("insert a")
          .then(() => tx.query("refused"))
          .catch(() => undefined)
      })
    )
    assert.instanceOf(error, Errors.QueryFailed)
    assert.deepStrictEqual(statements, ["BEGIN", "insert a", "ROLLBACK"])
  })
})
