/**
 * Rate limits of the HTTP interface: who is counted together, what is told, and that nobody gets around them with headers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Config from "../../../../src/edges/config/Config.ts"
import * as MemoryRateLimitStore from "../../../../src/layers/memory/resilience/RateLimitStore.ts"
import * as RateLimiter from "../../../../src/orchestration/resilience/RateLimiter.ts"
import { type Question, RateLimitStore, RateLimitStoreError } from "../../../../src/services/resilience/RateLimitStore.ts"
import { testGateway } from "../../../support/TestEngine.ts"
import { type Answered, clientOf, idempotent, key, layerInProcess, newPayment, otherKey, written } from "../TestApi.ts"

/** The `http` part of a configuration with this section. */
const httpOf = (rateLimits: unknown, http: object = {}) => {
  const decoded = Config.decode({
    input: { database: { dataDir: "." }, http, ...(rateLimits === undefined ? {} : { rateLimits }) },
    environment: {}
  })
  if (decoded._tag === "Failure") throw decoded.failure
  const { rateLimits: settings, trustedProxies } = decoded.success.http
  return { ...(settings === undefined ? {} : { rateLimits: settings }), ...(trustedProxies === undefined ? {} : { trustedProxies }) }
}

const minute = 60_000
const inProcess = () => layerInProcess([testGateway("sandbox-a")])

/** An application with these limits, and whoever connects to it. */
const served = (rateLimits: unknown, http: object = {}) =>
  Effect.gen(function* () {
    let address: string | undefined = "203.0.113.9"
    const send = yield* clientOf(httpOf(rateLimits, http), () => address)
    const from = (next: string | undefined) => {
      address = next
    }
    const pay = (customer: string | undefined, options: { readonly key?: string; readonly headers?: Record<string, string> } = {}) =>
      send("POST", "/v1/payments", {
        key: options.key ?? key,
        headers: { ...idempotent(), ...options.headers },
        body: { ...newPayment, ...(customer === undefined ? {} : { customer: { id: customer } }) }
      })
    return { send, from, pay }
  })

const header = ({ headers }: Answered, name: string) => headers.get(name)
const statuses = (answers: ReadonlyArray<Answered>) => answers.map(({ status }) => status)

describe("the presets", () => {
  it.effect("nothing is limited without the section", () =>
    Effect.gen(function* () {
      const { pay } = yield* served(undefined)
      const answers = yield* Effect.forEach(Array.from({ length: 20 }), () => pay("c1"))
      assert.deepStrictEqual(new Set(statuses(answers)), new Set([201]))
      assert.isNull(header(answers[0]!, "ratelimit"))
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("10 payments a minute and 3 more per customer; then 429 with what to do, and nothing is written", () =>
    Effect.gen(function* () {
      const { pay } = yield* served({})
      const answers = yield* Effect.forEach(Array.from({ length: 13 }), () => pay("c1"))
      assert.deepStrictEqual(new Set(statuses(answers)), new Set([201]))
      assert.strictEqual(header(answers[0]!, "ratelimit-policy"), '"initiate.user";q=10;w=60;aegispay-burst=3')
      assert.strictEqual(header(answers[0]!, "ratelimit"), '"initiate.user";r=12;t=6')
      assert.strictEqual(header(answers[12]!, "ratelimit"), '"initiate.user";r=0;t=6')
      const before = yield* written
      const refused = yield* pay("c1")
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(header(refused, "retry-after"), "6")
      assert.strictEqual(header(refused, "content-type"), "application/problem+json")
      assert.strictEqual(header(refused, "ratelimit"), '"initiate.user";r=0;t=6')
      assert.strictEqual(header(refused, "ratelimit-policy"), '"initiate.user";q=10;w=60;aegispay-burst=3')
      const { correlationId, ...body } = refused.body
      assert.isString(correlationId)
      assert.deepStrictEqual(body, {
        type: "urn:aegispay:problem:rate_limited",
        title: "Too many requests",
        status: 429,
        detail: "Too many requests. Nothing was started; repeat it in 6 s, with the same Idempotency-Key if it had one.",
        code: "rate_limited",
        errors: [{ path: "initiate.user", message: "at most 10 in 60 s, and 3 more at once" }]
      })
      assert.deepStrictEqual(yield* written, before)
      assert.strictEqual((yield* pay("c2")).status, 201, "another customer")
      assert.strictEqual((yield* pay("c1", { key: otherKey })).status, 201, "another merchant's customer of the same name")
      assert.strictEqual((yield* pay(undefined)).status, 201, "no customer: the API key is counted, apart from its customers")
      yield* TestClock.adjust(6_000)
      assert.strictEqual((yield* pay("c1")).status, 201)
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("100 reads a minute and 20 more, and 5 refunds in 5 minutes and 1 more, per customer, whichever payment it is", () =>
    Effect.gen(function* () {
      const { pay, send } = yield* served({})
      const [one, same, other] = [(yield* pay("c1")).body.id, (yield* pay("c1")).body.id, (yield* pay("c2")).body.id]
      const reads = yield* Effect.forEach(Array.from({ length: 121 }), (_, index) =>
        send("GET", `/v1/payments/${index % 3 === 0 ? same : one}${index % 2 === 0 ? "" : "/events"}?limit=1`, { key })
      )
      assert.strictEqual(
        reads.findIndex(({ status }) => status === 429),
        120
      )
      assert.strictEqual((yield* send("GET", `/v1/payments/${other}`, { key })).status, 200)
      const refund = (id: string) => send("POST", `/v1/payments/${id}/refunds`, { key, headers: idempotent(), body: { amount: 1 } })
      const refunds = yield* Effect.forEach(Array.from({ length: 7 }), (_, index) => refund(index % 2 === 0 ? one : same))
      assert.deepStrictEqual(statuses(refunds), [200, 200, 200, 200, 200, 200, 429])
      assert.strictEqual(header(refunds[6]!, "retry-after"), "60")
      assert.strictEqual((yield* refund(other)).status, 200)
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("what has no customer is counted by the API key: payments, reads of theirs and of none, lists", () =>
    Effect.gen(function* () {
      const { pay, send } = yield* served({ routes: { status: { user: { limit: 5, burst: 0 } } } })
      const payments = yield* Effect.forEach(Array.from({ length: 14 }), () => pay(undefined))
      assert.strictEqual(statuses(payments).indexOf(429), 13)
      const id = payments[0]?.body.id
      const get = (path: string, options: { readonly key: string }) => send("GET", `/v1/payments${path}`, options)
      const reads = yield* Effect.forEach(["", `/${id}`, `/${id}/events`, "/pay_unknown", "", ""], (path) => get(path, { key }))
      assert.strictEqual(statuses(reads).indexOf(429), 5)
      assert.strictEqual((yield* get("", { key: otherKey })).status, 200)
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("30 requests a minute and 30 more without a valid key, per address", () =>
    Effect.gen(function* () {
      const { from, send } = yield* served({ routes: { status: false } })
      const wrong = send("GET", "/v1/payments", { key: "test-key-of-nobody-at-all" })
      const answers = yield* Effect.forEach(Array.from({ length: 61 }), (_, index) =>
        index % 2 === 0 ? wrong : send("GET", "/v1/payments")
      )
      assert.strictEqual(statuses(answers).indexOf(429), 60)
      assert.strictEqual((yield* send("GET", "/v1/payments", { key })).status, 200, "a valid key from the same address")
      from("203.0.113.10")
      assert.strictEqual((yield* wrong).status, 401)
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("1,000 questions of health a minute and 100 more per address", () =>
    Effect.gen(function* () {
      const { from, send } = yield* served({})
      const answers = yield* Effect.forEach(Array.from({ length: 1_101 }), () => send("GET", "/health/live"))
      assert.strictEqual(
        answers.findIndex(({ status }) => status === 429),
        1_100
      )
      from("203.0.113.10")
      assert.strictEqual((yield* send("GET", "/health/live")).status, 200)
    }).pipe(Effect.provide(inProcess()))
  )
})

describe("the configuration of limits", () => {
  it.effect("several limits: one that refuses takes nothing from the others, before the body and after it", () =>
    Effect.gen(function* () {
      const { pay, send } = yield* served({
        routes: {
          initiate: { user: { limit: 2, burst: 0 }, ip: { limit: 100, windowMillis: minute }, api_key: { limit: 50, windowMillis: minute } }
        }
      })
      yield* pay("c1")
      yield* pay("c1")
      for (let asked = 0; asked < 5; asked++) {
        const refused = yield* pay("c1")
        assert.strictEqual(refused.status, 429)
        assert.strictEqual(header(refused, "ratelimit"), '"initiate.user";r=0;t=30', "only what refused")
      }
      const passed = yield* pay("c2")
      assert.strictEqual(header(passed, "ratelimit"), '"initiate.ip";r=97;t=1, "initiate.api_key";r=47;t=2, "initiate.user";r=1;t=30')
      const malformed = yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: "{" })
      assert.strictEqual(malformed.status, 400)
      assert.strictEqual(header(malformed, "ratelimit"), '"initiate.ip";r=96;t=1, "initiate.api_key";r=46;t=2', "bad requests count")
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("a refused request is not read: no key, no body and no idempotency key are looked at", () =>
    Effect.gen(function* () {
      const { send } = yield* served({ routes: { all: { ip: { limit: 1, windowMillis: minute } } } })
      assert.strictEqual((yield* send("POST", "/v1/payments", { body: "{" })).status, 401)
      for (const options of [{ body: "{" }, { key, body: "{" }, { key, headers: { "content-length": "999999999" } }]) {
        assert.strictEqual((yield* send("POST", "/v1/payments", options)).status, 429)
      }
      assert.strictEqual((yield* send("GET", "/no/such/address")).status, 429)
      assert.strictEqual((yield* send("GET", "/health/live")).status, 200, "health has limits of its own")
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("endpoint counts everybody at one route, global everybody at all of them; neither tells of others' traffic", () =>
    Effect.gen(function* () {
      const { from, pay, send } = yield* served({
        routes: {
          initiate: { user: false },
          status: { user: false, endpoint: { limit: 2, windowMillis: minute } },
          all: { global: { limit: 5, windowMillis: minute } }
        }
      })
      const { body, ...first } = yield* pay("c1")
      assert.isNull(first.headers.get("ratelimit"))
      assert.isNull(first.headers.get("ratelimit-policy"))
      from("203.0.113.10")
      const get = send("GET", `/v1/payments/${body.id}`, { key })
      assert.deepStrictEqual(statuses([yield* get, yield* get, yield* get]), [200, 200, 429])
      assert.strictEqual((yield* send("GET", "/v1/payments", { key: otherKey })).status, 200, "another endpoint")
      assert.strictEqual((yield* pay("c1")).status, 201)
      const refused = yield* pay("c1")
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(header(refused, "retry-after"), "12")
      assert.isNull(header(refused, "ratelimit"))
      assert.deepStrictEqual(
        refused.body.errors.map(({ path }: { readonly path: string }) => path),
        ["all.global"]
      )
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("a key is blocked after repeated refusals", () =>
    Effect.gen(function* () {
      const { pay } = yield* served({
        routes: { initiate: { user: { limit: 1, burst: 0, block: { refusals: 2, withinMillis: minute, durationMillis: 600_000 } } } }
      })
      const answers = yield* Effect.forEach(Array.from({ length: 4 }), () => pay("c1"))
      assert.deepStrictEqual(
        answers.map((answer) => [answer.status, header(answer, "retry-after")]),
        [
          [201, null],
          [429, "60"],
          [429, "600"],
          [429, "600"]
        ]
      )
      assert.include(answers[3]?.body.errors[0].message, "blocked for a time")
    }).pipe(Effect.provide(inProcess()))
  )
})

describe("the store", () => {
  /** A rate limiter whose store is away. */
  const away = (options: RateLimiter.Options) =>
    RateLimiter.layerWith(options).pipe(
      Layer.provide(
        Layer.succeed(RateLimitStore, {
          take: () => Effect.fail(new RateLimitStoreError({ operation: "take", cause: new Error("gone") })),
          peek: () => Effect.die("not asked"),
          refund: () => Effect.die("nothing was taken"),
          reset: () => Effect.void,
          blocked: Effect.succeed(0),
          takeUnsafe: undefined
        })
      )
    )

  it.effect("is that of the context", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const { pay } = yield* served({})
      const limit = httpOf({}).rateLimits?.limits.initiate[0]
      assert.isDefined(limit)
      yield* limiter.check([limit], ["m1 c1"], 13)
      assert.strictEqual((yield* pay("c1")).status, 429)
    }).pipe(Effect.provide([inProcess(), RateLimiter.layer.pipe(Layer.provide(MemoryRateLimitStore.layer))]))
  )

  it.effect("away, open: requests pass without headers, and nothing is given back that was not taken", () =>
    Effect.gen(function* () {
      const { pay } = yield* served({ routes: { all: { ip: { limit: 1, windowMillis: minute } } } })
      for (let asked = 0; asked < 3; asked++) {
        const answer = yield* pay("c1")
        assert.strictEqual(answer.status, 201)
        assert.isNull(header(answer, "ratelimit"))
      }
    }).pipe(Effect.provide([inProcess(), away({})]))
  )

  it.effect("back between the first check and that of the customer: nothing is given back that was not taken", () => {
    let asked = 0
    const flickering = Layer.effect(
      RateLimitStore,
      Effect.map(RateLimitStore, (store) => ({
        ...store,
        take: (question: Question) =>
          asked++ % 2 === 0 ? Effect.fail(new RateLimitStoreError({ operation: "take", cause: new Error("gone") })) : store.take(question),
        refund: () => Effect.die("nothing was taken"),
        takeUnsafe: undefined
      }))
    ).pipe(Layer.provide(MemoryRateLimitStore.layer))
    return Effect.gen(function* () {
      const { pay } = yield* served({ routes: { initiate: { user: { limit: 1, burst: 0 }, ip: { limit: 1, windowMillis: minute } } } })
      assert.deepStrictEqual(statuses([yield* pay("c1"), yield* pay("c1"), yield* pay("c1")]), [201, 429, 429])
    }).pipe(Effect.provide([inProcess(), RateLimiter.layerWith({ storePauseMillis: 0 }).pipe(Layer.provide(flickering))]))
  })

  it.effect("away, closed: requests are refused before anything is done", () =>
    Effect.gen(function* () {
      const { pay, send } = yield* served({ routes: { all: { ip: { limit: 1, windowMillis: minute } } } })
      const before = yield* written
      const answer = yield* pay("c1")
      assert.strictEqual(answer.status, 503)
      assert.strictEqual(answer.body.code, "rate_limits_unavailable")
      assert.strictEqual(header(answer, "retry-after"), "1")
      assert.notInclude(answer.text, "gone")
      assert.deepStrictEqual(yield* written, before)
      assert.strictEqual((yield* send("GET", "/health/live")).status, 503)
    }).pipe(Effect.provide([inProcess(), away({ onStoreFailure: "closed" })]))
  )
})

describe("the client's address", () => {
  const perAddress = { routes: { all: { ip: { limit: 1, windowMillis: minute } } } }
  const proxied = { trustedProxies: ["10.0.0.0/8", "192.0.2.1", "fd00::/8"] }
  /** 401 passes the limit, 429 does not. */
  const ask = (answers: Effect.Success<ReturnType<typeof served>>, address: string | undefined, forwarded?: string) =>
    Effect.suspend(() => {
      answers.from(address)
      return answers.send("GET", "/v1/payments", forwarded === undefined ? {} : { headers: { "x-forwarded-for": forwarded } })
    }).pipe(Effect.map(({ status }) => (status === 401 ? "passed" : status)))

  it.effect("is that of the connection: a header changes nothing", () =>
    Effect.gen(function* () {
      const app = yield* served(perAddress)
      assert.strictEqual(yield* ask(app, "203.0.113.9"), "passed")
      for (const forged of ["198.51.100.1", "10.0.0.1", "203.0.113.10, 198.51.100.2", "", ",,,", "for=1.2.3.4", "x".repeat(15_000)]) {
        assert.strictEqual(yield* ask(app, "203.0.113.9", forged), 429, forged.slice(0, 40))
      }
      assert.strictEqual(yield* ask(app, "203.0.113.10"), "passed")
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("is the right-most one that no trusted proxy has", () =>
    Effect.gen(function* () {
      const app = yield* served(perAddress, proxied)
      assert.strictEqual(yield* ask(app, "10.1.2.3", "198.51.100.1"), "passed")
      for (const [address, forwarded] of [
        ["10.1.2.3", "198.51.100.1"],
        ["192.0.2.1", "6.6.6.6, 198.51.100.1"],
        ["::ffff:10.9.9.9", "7.7.7.7,198.51.100.1 , 10.0.0.4"],
        ["fd00::1", "8.8.8.8, 198.51.100.1:4711, 192.0.2.1"],
        ["10.1.2.3", `${"9.9.9.9, ".repeat(1_500)}198.51.100.1`],
        ["10.1.2.3", `${"x".repeat(10_000)}, 198.51.100.1`],
        ["198.51.100.1", "5.5.5.5"]
      ] as const) {
        assert.strictEqual(yield* ask(app, address, forwarded), 429, `${address} ${forwarded.slice(-60)}`)
      }
      assert.strictEqual(yield* ask(app, "10.1.2.3", "198.51.100.2"), "passed")
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("is the proxy's where its header is missing or makes no sense", () =>
    Effect.gen(function* () {
      const app = yield* served(perAddress, proxied)
      assert.strictEqual(yield* ask(app, "10.1.2.3"), "passed")
      for (const senseless of [undefined, "unknown", "198.51.100.1, unknown", "", ", ,", "999.1.1.1", "198.51.100.1%00"]) {
        assert.strictEqual(yield* ask(app, "10.1.2.3", senseless), 429, senseless)
      }
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("counts an IPv6 client by its /64, and one address in any spelling as one", () =>
    Effect.gen(function* () {
      const app = yield* served(perAddress)
      assert.strictEqual(yield* ask(app, "2001:db8:1:2::1"), "passed")
      assert.strictEqual(yield* ask(app, "2001:db8:1:2:ffff:ffff:ffff:ffff"), 429)
      assert.strictEqual(yield* ask(app, "2001:DB8:1:2:0:0:0:9"), 429)
      assert.strictEqual(yield* ask(app, "2001:db8:1:3::1"), "passed")
      assert.strictEqual(yield* ask(app, "198.51.100.7"), "passed")
      assert.strictEqual(yield* ask(app, "::ffff:198.51.100.7"), 429)
      assert.strictEqual(yield* ask(app, undefined), "passed")
      assert.strictEqual(yield* ask(app, "no address"), 429, "all that have none are one")
    }).pipe(Effect.provide(inProcess()))
  )
})

describe("a customer's name", () => {
  it.effect("is counted whatever it is made of", () =>
    Effect.gen(function* () {
      const { pay } = yield* served({ routes: { initiate: { user: { limit: 1, burst: 0 } } } })
      for (const customer of ["__proto__", "m1 c1", "constructor", "ä".repeat(128), "x".repeat(128), `${"x".repeat(127)}y`]) {
        assert.strictEqual((yield* pay(customer)).status, 201, customer)
        assert.strictEqual((yield* pay(customer)).status, 429, customer)
      }
    }).pipe(Effect.provide(inProcess()))
  )

  it.effect("is not believed of a request whose key is not known", () =>
    Effect.gen(function* () {
      const { pay } = yield* served({ routes: { initiate: { user: { limit: 1, burst: 0 }, api_key: { limit: 1, windowMillis: minute } } } })
      const strangers = yield* Effect.forEach(Array.from({ length: 5 }), () => pay("c1", { key: "test-key-of-nobody-at-all" }))
      assert.deepStrictEqual(statuses(strangers), [401, 429, 429, 429, 429], "their address is counted")
      assert.strictEqual((yield* pay("c1")).status, 201, "they have used nothing of the merchant's")
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(pay("c1"))))
    }).pipe(Effect.provide(inProcess()))
  )
})

describe("an address in another spelling", () => {
  for (const path of ["/v1/payment%73", "/%761/payments", "/v1/payments;a=1", "/v1/payments;?a=1"]) {
    it.effect(`${path} is counted as the route that answers it`, () =>
      Effect.gen(function* () {
        const { send } = yield* served({
          routes: { initiate: { user: { limit: 1, burst: 0 } }, unauthorized: { ip: { limit: 1, burst: 0 } } }
        })
        const post = (presented: string) => send("POST", path, { key: presented, headers: idempotent(), body: newPayment })
        assert.deepStrictEqual(statuses([yield* post(key), yield* post(key)]), [201, 429])
        const wrong = "test-key-of-nobody-at-all"
        assert.deepStrictEqual(statuses([yield* post(wrong), yield* post(wrong)]), [401, 429])
      }).pipe(Effect.provide(inProcess()))
    )
  }

  it.effect("a payment's id in another spelling is that payment's customer's", () =>
    Effect.gen(function* () {
      const { pay, send } = yield* served({ routes: { status: { user: { limit: 1, burst: 0 } } } })
      const id: string = (yield* pay("c1")).body.id
      const get = (written: string) => send("GET", `/v1/payments/${written}`, { key })
      assert.deepStrictEqual(statuses([yield* get(id), yield* get(id.replace("pay", "pa%79")), yield* get(id)]), [200, 429, 429])
    }).pipe(Effect.provide(inProcess()))
  )
})
