/** The sandbox over its own restart: orderly, killed, with a cut-off line, with a damaged one, and with a second process. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as childProcess from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import { act, type Answer, charge, chargeCall, get, kindsOf, ledger, sandbox, sendTo, until } from "./client.ts"

const directory = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "aegispay-sandbox-"))),
  (name) => Effect.sync(() => fs.rmSync(name, { recursive: true, force: true }))
)

const file = (name: string) => path.join(name, "sandbox.jsonl")

/** Runs an effect against a sandbox that is started on the directory and stopped afterwards. */
const running = <A, E>(name: string, effect: Effect.Effect<A, E, Sandbox.Sandbox>, options: Sandbox.ListenOptions = {}) =>
  effect.pipe(Effect.provide(sandbox({ directory: name, ...options }), { local: true }))

it.live("keeps charges, ledger, stored results and look-ups over a restart, and never gives an id twice", () =>
  Effect.gen(function* () {
    const name = yield* directory
    const before = yield* running(
      name,
      Effect.gen(function* () {
        const first = yield* charge({ reference: "r1" })
        yield* charge({ reference: "r2", token: "tok_declined_soft", account: "c" })
        yield* charge({ reference: "r3", token: "tok_5xx_after" })
        yield* act(first.body.charge.id, "refunds", { body: { amount: 10 } })
        return first
      })
    )
    yield* running(
      name,
      Effect.gen(function* () {
        assert.strictEqual((yield* ledger()).length, 3)
        const again = yield* charge({ reference: "r1" })
        assert.deepStrictEqual([again.text, again.headers.get("idempotent-replayed")], [before.text, "true"])
        assert.strictEqual((yield* charge({ reference: "r2", token: "tok_declined_soft", account: "c" })).status, 402)
        assert.strictEqual((yield* charge({ reference: "r3", token: "tok_5xx_after" })).status, 500)
        assert.strictEqual((yield* get("/a/v1/operations?reference=r3")).body.charge.status, "succeeded")
        const next = yield* charge({ reference: "r4" })
        assert.notStrictEqual(next.body.charge.id, before.body.charge.id)
        assert.strictEqual((yield* get(`/a/v1/charges/${before.body.charge.id}`)).body.amount_refunded, 10)
        assert.strictEqual((yield* ledger()).length, 4)
      }),
      { seed: "another" }
    )
  }).pipe(Effect.scoped)
)

it.live("pending charges settle after a restart", () =>
  Effect.gen(function* () {
    const name = yield* directory
    const pending = yield* running(name, charge({ token: "tok_pending_success", reference: "p" }), { settleDelayMillis: 3_000 })
    yield* running(
      name,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* kindsOf("p"), [])
        yield* until(get(`/a/v1/charges/${pending.body.charge.id}`), ({ body }) => body.status === "succeeded")
        assert.deepStrictEqual(yield* kindsOf("p"), ["charge"])
      })
    )
  }).pipe(Effect.scoped)
)

it.live("drops a last line that was cut off and goes on after it", () =>
  Effect.gen(function* () {
    const name = yield* directory
    yield* running(name, Effect.andThen(charge({ reference: "r1" }), charge({ reference: "r2" })))
    const text = fs.readFileSync(file(name), "utf8")
    fs.writeFileSync(file(name), text.slice(0, -40))
    yield* running(
      name,
      Effect.gen(function* () {
        assert.deepStrictEqual([yield* kindsOf("r1"), yield* kindsOf("r2")], [["charge"], []])
        const answer = yield* charge({ reference: "r2" })
        assert.deepStrictEqual([answer.status, answer.headers.get("idempotent-replayed")], [201, null])
      })
    )
    yield* running(
      name,
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* kindsOf("r2"), ["charge"])
      })
    )
  }).pipe(Effect.scoped)
)

const refused = (name: string) => Effect.flip(Effect.scoped(Layer.build(sandbox({ directory: name }))))

it.live("refuses a journal that is damaged before its end, and leaves it alone", () =>
  Effect.gen(function* () {
    const name = yield* directory
    yield* running(name, Effect.andThen(charge(), charge()))
    const lines = fs.readFileSync(file(name), "utf8").split("\n")
    const damaged = [lines[0], '{"account":', ...lines.slice(2)].join("\n")
    fs.writeFileSync(file(name), damaged)
    const error = yield* refused(name)
    assert.strictEqual(error._tag, "JournalError")
    assert.include(error.message, "line 2")
    assert.strictEqual(fs.readFileSync(file(name), "utf8"), damaged)
  }).pipe(Effect.scoped)
)

it.live("keeps a second sandbox off its directory and takes over from one that is gone", () =>
  Effect.gen(function* () {
    const name = yield* directory
    yield* running(
      name,
      Effect.gen(function* () {
        const error = yield* refused(name)
        assert.include(error.message, "in use")
      })
    )
    // Process ids end at 2^22 on Linux.
    fs.writeFileSync(path.join(name, "sandbox.lock"), "99999999")
    assert.strictEqual((yield* running(name, charge())).status, 201)
    fs.writeFileSync(path.join(name, "sandbox.lock"), String(process.ppid))
    assert.include((yield* refused(name)).message, "in use")
  }).pipe(Effect.scoped)
)

it.live("a directory that cannot be used is an error that names it", () =>
  Effect.gen(function* () {
    const name = yield* directory
    fs.writeFileSync(path.join(name, "plain"), "")
    const error = yield* refused(path.join(name, "plain"))
    assert.strictEqual(error._tag, "JournalError")
    assert.include(error.message, "plain")
  }).pipe(Effect.scoped)
)

/** Starts the sandbox as a child process; the scope kills it. */
const child = (name: string) =>
  Effect.gen(function* () {
    const started = yield* Effect.acquireRelease(
      Effect.sync(() =>
        childProcess.spawn(process.execPath, [path.join(import.meta.dirname, "killedSandbox.ts"), name], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (running) => Effect.sync(() => running.kill("SIGKILL"))
    )
    const url = yield* Effect.callback<string>((resume) => {
      started.stdout.once("data", (chunk: Buffer) => resume(Effect.succeed(chunk.toString().trim())))
    })
    return { url, started }
  })

const kill = (started: childProcess.ChildProcess) =>
  Effect.callback<void>((resume) => {
    started.once("exit", () => resume(Effect.void))
    started.kill("SIGKILL")
  })

it.live("what was answered is there after kill -9", () =>
  Effect.gen(function* () {
    const name = yield* directory
    const answered: Array<string> = []
    const { started, url } = yield* child(name)
    const pump = Effect.gen(function* () {
      for (let index = 0; ; index++) {
        const reference = `${yield* Effect.fiberId}-${index}`
        const answer = yield* sendTo(url, chargeCall({ reference }))
        if (answer.status === 201) answered.push(reference)
      }
    }).pipe(Effect.ignore)
    const enough = until(
      Effect.sync(() => answered.length),
      (count) => count > 50
    )
    yield* Effect.all([pump, pump, pump, pump, Effect.andThen(enough, kill(started))], { concurrency: 5 })
    yield* running(
      name,
      Effect.gen(function* () {
        const { url } = yield* Sandbox.Sandbox
        const all: Array<{ reference: string; kind: string }> = []
        for (let after: number | undefined = 0; after !== undefined;) {
          const page: Answer = yield* sendTo(url, { method: "GET", path: `/a/ledger?limit=10000&after=${after}` })
          all.push(...(page.body.data as typeof all))
          after = page.body.next_after as number | undefined
        }
        const references = all.map(({ reference }) => reference)
        assert.strictEqual(new Set(references).size, references.length)
        for (const reference of answered) assert.include(references, reference)
        // Each of the four senders may have had one more request on its way.
        assert.isAtMost(references.length - answered.length, 4)
      })
    )
  }).pipe(Effect.scoped)
)

it.live("a scope that closes releases the lock", () =>
  Effect.gen(function* () {
    const name = yield* directory
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(sandbox({ directory: name }), scope)
    assert.isTrue(fs.existsSync(path.join(name, "sandbox.lock")))
    yield* Scope.close(scope, yield* Effect.exit(Effect.void))
    assert.isFalse(fs.existsSync(path.join(name, "sandbox.lock")))
  }).pipe(Effect.scoped)
)
