/**
 * Crash points in real processes: `aegispay serve`, `aegispay recover` and a host end with SIGKILL at a point, others finish the payments, and
 * the ledger of the sandbox, a process of its own, has what each payment is shown to have moved.
 */
import { assert, describe, it } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { type ChildProcess, spawn } from "node:child_process"
import { createHmac } from "node:crypto"
import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import * as Presets from "../../src/domain/Presets.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as CrashPoint from "../../src/services/CrashPoint.ts"
import { aegispay, apiKey, ask, configuration, request, start, waitFor } from "../edges/cli/aegispay.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const program = fileURLToPath(new URL("./killedAt.ts", import.meta.url))

/** A server that is about to be killed, and its sandbox. */
interface Server {
  /** Its answer. */
  readonly ask: (path: string, body: object, under: string) => Promise<Record<string, unknown>>
  /** Asks it for what kills it: nobody is answered. */
  readonly askInVain: (path: string, body: object, under: string) => Promise<void>
  /** What the sandbox knows about a payment, told as its webhook. Nobody is answered. */
  readonly tellInVain: (payment: string) => Promise<void>
}

interface Life {
  readonly name: string
  readonly point: CrashPoint.Point
  /** The requests that bring it there. */
  readonly until: (server: Server) => Promise<unknown>
  /** The request that made the payment, and the one that is repeated at the end. */
  readonly charge: object
  readonly repeated?: { readonly command: string; readonly body: object }
  /** How it ends, and what the sandbox has moved for it. */
  readonly status: string
  readonly ledger: ReadonlyArray<readonly [kind: string, amount: number]>
}

const charged = [["charge", 4990]] as const

const charge = (point: CrashPoint.Point, token = "tok_success"): Life => ({
  name: point,
  point,
  charge: request(token),
  until: (server) => server.askInVain("", request(token), point),
  status: "succeeded",
  ledger: charged
})

/** The customer does on the sandbox' page what the bank asks for. */
const completed = async (payment: Record<string, unknown>) => {
  const { url } = payment["nextAction"] as { readonly url: string }
  assert.strictEqual((await fetch(`${url}/complete`, { method: "POST" })).status, 200)
}

const webhook = (point: CrashPoint.Point): Life => ({
  ...charge(point, "tok_3ds"),
  until: async (server) => {
    const payment = await server.ask("", request("tok_3ds"), point)
    await completed(payment)
    await server.tellInVain(String(payment["id"]))
  }
})

const declinedOpen = { ...request("tok_card_declined_open"), captureMethod: "manual" }
/** Its object stays open at the sandbox, and the customer's page authorizes it while no server is there. */
const paidAfterAll = "declined-and-paid-after-all"

/** What servers do until they are killed; each makes a payment under its name. */
const lives: ReadonlyArray<Life> = [
  // The first, so that there is no other event to deliver. It is killed after the answer, or before it.
  { ...charge("relay/after-delivery"), until: (server) => server.ask("", request(), "relay/after-delivery").catch(() => undefined) },
  charge("charge/after-intent"),
  charge("operation/before-call"),
  charge("call/between-attempts", "tok_reset_after"),
  charge("operation/after-call"),
  charge("operation/after-outcome"),
  {
    ...charge("modify/after-intent"),
    until: async (server) => {
      const { id } = await server.ask("", request(), "modify/after-intent")
      await server.askInVain(`/${String(id)}/refunds`, { amount: 1000 }, "refund")
    },
    repeated: { command: "refunds", body: { amount: 1000 } },
    status: "partially_refunded",
    ledger: [...charged, ["refund", 1000]]
  },
  {
    ...charge("operation/after-outcome"),
    name: paidAfterAll,
    charge: declinedOpen,
    until: (server) => server.askInVain("", declinedOpen, paidAfterAll),
    status: "cancelled",
    ledger: [
      ["authorize", 4990],
      ["void", 4990]
    ]
  },
  // In this order: what is only stored would be processed by the next server before anything is asked of it.
  webhook("webhook/after-truth"),
  webhook("webhook/after-store")
]

/** A host that prepares a payment in its own transaction. */
const prepared: Life = { ...charge("prepare/after-host-commit"), until: () => Promise.resolve() }

/** Where `aegispay recover` is killed that finds the second of these payments, never sent. Then nobody may send it for a while. */
const permitted: CrashPoint.Point = "recovery/after-permission"
const before = 2

/** Where one `aegispay recover` after the other is killed, over what the others left. */
const recoveries: ReadonlyArray<CrashPoint.Point> = ["recovery/after-lease", "recovery/after-question", "recovery/after-target"]

/** The least that start-up takes: an attempt of 15 s has to be over, and what arrives late. */
const settleTimeMillis = 16_000

/** What no process of the command line can reach. */
const unreachable: { readonly [point in CrashPoint.Point]?: string } = {
  "recovery/before-review": "the sandbox can always be asked, and the wait for what nobody can be asked about is longer than this file"
}

const environment = (point: CrashPoint.Point, env: Readonly<Record<string, string>>) => {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("AEGISPAY_"))
  return { ...Object.fromEntries(plain), ...env, AEGISPAY_CRASH_AT: point }
}

const spawned = (point: CrashPoint.Point, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>): ChildProcess =>
  spawn(process.execPath, ["--no-warnings", program, ...args], { env: environment(point, env), stdio: ["ignore", "pipe", "inherit"] })

/** Waits until a process has killed itself. */
const killed = async (child: ChildProcess, what: string, use: () => Promise<unknown> = () => Promise.resolve()) => {
  const limit = setTimeout(() => child.kill("SIGTERM"), 100_000)
  const ended = once(child, "close")
  try {
    await use().catch((error: unknown) => Promise.reject(new Error(`${what}: ${String(error)}`, { cause: error })))
    const [, signal] = (await ended) as [number | null, string | null]
    assert.strictEqual(signal, "SIGKILL", what)
  } finally {
    clearTimeout(limit)
    child.kill("SIGKILL")
  }
}

/** The connection ends without an answer. */
const inVain = async (answer: Promise<unknown>, what: string) => {
  const answered = await answer.catch(() => undefined)
  assert.isUndefined(answered, `${what}: ${JSON.stringify(answered)}`)
}

const webhookSecret = "whsec_sandbox_c"

const readSandbox = async (sandboxUrl: string, path: string) => {
  const response = await fetch(`${sandboxUrl}/c${path}`, { headers: { authorization: "Bearer sk_sandbox_c" } })
  return (await response.json()) as Record<string, unknown>
}

/** The customer comes back to the page of the charge that a decline has left open. */
const completedByCharge = async (sandboxUrl: string) => {
  const { data } = await readSandbox(sandboxUrl, "/v1/charges?from=0&to=99999999999999")
  const open = (data as ReadonlyArray<{ readonly id: string; readonly status: string }>).filter(
    ({ status }) => status === "requires_payment_method"
  )
  assert.lengthOf(open, 1)
  for (const { id } of open) await completed({ nextAction: { url: `${sandboxUrl}/c/customer/${id}` } })
}

/** A webhook of the sandbox, about the charge that a payment's first entry in its ledger names. */
const post = async (url: string, sandboxUrl: string, payment: string) => {
  const entry = (await ledgerOf(sandboxUrl)).find((one) => one.payment === payment)
  assert.isDefined(entry)
  const { matches: _, ...data } = await readSandbox(sandboxUrl, `/v1/operations?reference=${encodeURIComponent(entry.reference)}`)
  const seconds = Math.floor(Date.now() / 1000)
  const body = JSON.stringify({ id: `evt_${payment}`, object: "event", type: "charge.succeeded", created: Date.now(), data })
  const proof = createHmac("sha256", webhookSecret).update(`${seconds}.${body}`).digest("hex")
  const response = await fetch(`${url}/v1/webhooks/sandbox-c`, {
    method: "POST",
    headers: { "sandbox-signature": `t=${seconds},v1=${proof}` },
    body
  })
  // Stored and acknowledged, it is processed after the answer.
  if (response.ok) throw new Error("acknowledged")
  assert.fail(`refused: ${response.status} ${await response.text()}`)
}

interface Entry {
  readonly kind: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
}

const ledgerOf = async (sandboxUrl: string): Promise<ReadonlyArray<Entry>> =>
  (await readSandbox(sandboxUrl, "/ledger"))["data"] as ReadonlyArray<Entry>

/** Serves until the process ends itself. */
const serveUntilKilled = async (life: Life, config: Config, sandboxUrl: string) => {
  const child = spawned(life.point, ["serve", "--config", config.file, "--json"], config.env)
  await killed(child, life.name, async () => {
    const stdout = child.stdout ?? assert.fail("no output")
    const [line] = (await Promise.race([
      once(stdout, "data"),
      once(child, "close").then(() => Promise.reject(new Error(`${life.name}: it did not start`)))
    ])) as [Buffer]
    const { url } = JSON.parse(String(line)) as { readonly url: string }
    const asked = async (path: string, body: object, under: string) =>
      (await ask({ announced: { url } }, `/v1/payments${path}`, { key: apiKey, body, under })).body
    await life.until({
      ask: asked,
      askInVain: (path, body, under) => inVain(asked(path, body, under), life.name),
      tellInVain: (payment) =>
        post(url, sandboxUrl, payment).catch((error: unknown) => (isExpected(error) ? undefined : Promise.reject(error as Error)))
    })
  })
}

/** The connection ended, or the webhook was acknowledged before its processing was killed. */
const isExpected = (error: unknown) => error instanceof TypeError || (error instanceof Error && error.message === "acknowledged")

interface Config {
  readonly file: string
  readonly env: Readonly<Record<string, string>>
}

/** A merchant's endpoint that takes every event. */
const endpoint = Effect.acquireRelease(
  Effect.promise(async () => {
    const received: Array<{ readonly paymentId: string; readonly version: number }> = []
    const server = http.createServer((incoming, response) => {
      let body = ""
      incoming.setEncoding("utf8").on("data", (text: string) => (body += text))
      incoming.on("end", () => {
        received.push(JSON.parse(body) as (typeof received)[number])
        response.writeHead(204).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    return { received, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` }
  }),
  ({ server }) => Effect.sync(() => server.close().closeAllConnections())
)

/** What the killed ones hold is free at once, as it is a minute later. */
const aMinutePasses = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* sql`update aegispay.locks set expires_at = clock_timestamp()`
  yield* sql`update aegispay.outbox set free_at = null where free_at is not null`
  yield* sql`update aegispay.webhooks set due_at = 0 where state = 'waiting'`
})

describe("processes that are killed at a crash point", () => {
  it("reach every one, or it is said why not", () => {
    const reached = [...lives, prepared].map(({ point }) => point)
    const listed = new Set([...reached, permitted, ...recoveries, ...Object.keys(unreachable)])
    assert.deepStrictEqual([...listed].sort(), [...CrashPoint.points].sort())
    for (const point of [...reached, permitted, ...recoveries]) assert.notProperty(unreachable, point)
  })

  it.live(
    "leave payments that others finish, each as the ledger of the gateway has it",
    () =>
      Effect.gen(function* () {
        const databaseUrl = Redacted.value(yield* TestDatabase.fresh)
        const database = yield* Layer.build(Layer.orDie(PgClient.layer({ url: Redacted.make(databaseUrl), maxConnections: 1 })))
        yield* Effect.provideContext(Migrations.run, database)
        const sandbox = yield* Effect.acquireRelease(
          Effect.promise(() => start(["sandbox", "--port", "0", "--accounts", "c", "--seed", "1", "--json"])),
          (running) => Effect.promise(() => running.stop("SIGTERM"))
        )
        const sandboxUrl = sandbox.announced.url
        const receiver = yield* endpoint
        const config = yield* Effect.promise(async (): Promise<Config> => {
          const { env, file } = await configuration({
            databaseUrl,
            sandboxUrl,
            extra: {
              gateways: [
                {
                  name: "sandbox-c",
                  kind: "sandbox",
                  baseUrl: `${sandboxUrl}/c`,
                  webhookSecret: "env:TEST_WEBHOOK_SECRET",
                  leavesOpenAfterDecline: true,
                  captures: "multiple",
                  settleTimeMillis
                }
              ],
              notifications: {
                endpoints: [{ merchant: "m1", url: receiver.url, secret: "env:TEST_ENDPOINT_SECRET" }],
                allowLoopback: true
              },
              // What the killed ones leave is for `aegispay recover`.
              recovery: { onStart: false, intervalMillis: 3_600_000 }
            }
          })
          const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`
          return { file, env: { ...env, TEST_WEBHOOK_SECRET: webhookSecret, TEST_ENDPOINT_SECRET: secret } }
        })
        const serves = (life: Life) => Effect.promise(() => serveUntilKilled(life, config, sandboxUrl))
        // One payment at a time: a recovery that is killed leaves no second one behind.
        const recover = ["recover", "--config", config.file, "--older-than", "0", "--concurrency", "1", "--json"]
        const recovers = (point: CrashPoint.Point) =>
          Effect.andThen(
            Effect.promise(() => killed(spawned(point, recover, config.env), point)),
            Effect.provideContext(aMinutePasses, database)
          )
        yield* Effect.forEach(lives.slice(0, before), serves)
        yield* recovers(permitted)
        const sendableAgain = performance.now() + Presets.gatewayCall.sendWindowMillis.value + settleTimeMillis
        yield* Effect.forEach(lives.slice(before), serves)
        yield* Effect.promise(() => completedByCharge(sandboxUrl))
        yield* Effect.promise(() => killed(spawned(prepared.point, ["--config", config.file], config.env), prepared.name))
        yield* Effect.forEach(recoveries, recovers)
        yield* Effect.sleep(Math.max(0, sendableAgain - performance.now()))
        yield* Effect.promise(() => finished(config))
        yield* Effect.promise(() => assertEnds({ config, sandboxUrl, received: receiver.received }))
      }).pipe(Effect.scoped),
    { timeout: 420_000 }
  )
})

/** A recovery that nobody kills. */
const finished = async ({ env, file }: Config) => {
  const recovered = await aegispay(["recover", "--config", file, "--older-than", "0", "--json"], { env })
  assert.strictEqual(recovered.code, 0, recovered.stderr + recovered.stdout)
}

/** Callers repeat their requests at a server that nobody kills, and get what the ledger has; every event has come, in order. */
const assertEnds = async (world: {
  readonly config: Config
  readonly sandboxUrl: string
  readonly received: ReadonlyArray<{ readonly paymentId: string; readonly version: number }>
}) => {
  const { config, received, sandboxUrl } = world
  const running = await start(["serve", "--config", config.file, "--json"], { env: config.env })
  const all = [...lives, prepared]
  const payments = new Set<string>()
  for (const { charge, ledger, name, repeated, status } of all) {
    const again = await waitFor(async () => {
      const { body } = await ask(running, "/v1/payments", { key: apiKey, body: charge, under: name })
      return ["processing", "requires_action"].includes(String(body["status"])) ? undefined : body
    }, `the end of ${name}`)
    const id = String(again["id"])
    payments.add(id)
    if (repeated !== undefined) {
      const { body } = await ask(running, `/v1/payments/${id}/${repeated.command}`, { key: apiKey, body: repeated.body, under: "refund" })
      assert.strictEqual(body["id"], id, name)
    }
    const shown = (await ask(running, `/v1/payments/${id}`, { key: apiKey })).body
    const entries = (await ledgerOf(sandboxUrl)).filter(({ payment }) => payment === id)
    assert.deepStrictEqual(
      entries.map(({ amount, kind }) => [kind, amount]),
      ledger.map((entry) => [...entry]),
      name
    )
    assert.strictEqual(shown["status"], status, name)
    const { body } = await ask(running, `/v1/payments/${id}/events`, { key: apiKey })
    const versions = (body["data"] as ReadonlyArray<{ readonly version: number }>).map(({ version }) => version)
    const delivered = () => [...new Set(received.flatMap((event) => (event.paymentId === id ? [event.version] : [])))]
    await waitFor(() => (delivered().length >= versions.length ? true : undefined), `the events of ${name}`)
    assert.deepStrictEqual(delivered(), versions, `${name}: first deliveries in order`)
  }
  assert.strictEqual(payments.size, all.length)
  assert.isTrue((await ledgerOf(sandboxUrl)).every(({ payment }) => payments.has(payment)))
  assert.strictEqual((await running.stop("SIGTERM")).code, 0)
  const { stdout } = await aegispay(["recover", "--config", config.file, "--older-than", "0", "--json"], { env: config.env })
  assert.strictEqual((JSON.parse(stdout) as { readonly scanned: number }).scanned, 0)
}
