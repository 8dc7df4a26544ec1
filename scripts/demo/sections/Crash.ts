/**
 * A process that is killed in the middle of a payment, and what another process makes of it.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import * as Child from "../../crash/Child.ts"
import type { Provider } from "../Provider.ts"
import type { Section } from "../Section.ts"

const merchant = "demo-crash"
const key = "order-4711"

export const section: Section = {
  name: "crash",
  title: "A crash in the middle of a payment",
  shows: [
    "`aegispay pay` sends a charge to a provider that executes it and does not answer; then the process is killed (SIGKILL). The customer is charged and nobody",
    "knows. The intent was durable before the call, so `aegispay recover`, another process, asks the provider by our own reference and records what happened."
  ],
  sabotage: "nobody recovers, and the customer tries again under another key",
  run: Effect.fnUntraced(function* ({ sabotaged, say, ground }) {
    const { anotherDatabase, directory, providers } = yield* ground
    const provider = providers[2]!
    const url = yield* anotherDatabase("crash")
    const config = join(directory, "aegispay.json")
    yield* Effect.promise(() => writeFile(config, JSON.stringify(configuration(provider))))
    const environment = {
      DEMO_DATABASE_URL: Redacted.value(url),
      DEMO_FINGERPRINT_KEY: "0123456789abcdef0123456789abcdef",
      DEMO_PROVIDER_KEY: provider.apiKey
    }
    const aegispay = (...args: ReadonlyArray<string>) =>
      Effect.acquireRelease(
        Effect.sync(() => Child.launch([...args, "--config", config], environment)),
        (child) => Effect.promise(() => (child.signal("SIGKILL"), child.ended))
      )
    const pay = (token: string, idempotencyKey: string) =>
      aegispay("pay", "--amount", "4990", "--currency", "EUR", "--token", token, "--key", idempotencyKey, "--merchant", merchant, "--json")
    const before = new Set((yield* provider.ledger).map(({ charge_id }) => charge_id))
    const fresh = Effect.map(provider.ledger, (entries) => entries.filter(({ charge_id }) => !before.has(charge_id)))

    const first = yield* pay("tok_timeout_after", key)
    const [charged] = yield* fresh.pipe(
      Effect.repeat({ until: (entries) => entries.length > 0, schedule: Schedule.spaced(50) }),
      Effect.timeout("20 seconds")
    )
    say(
      `ledger of ${provider.account.name}: ${charged?.charge_id} for ${charged?.payment}, EUR ${(charged?.amount ?? 0) / 100}; no answer yet`
    )
    first.signal("SIGKILL")
    const end = yield* Effect.promise(() => first.ended)
    say(`the paying process is dead: ${end.signal ?? end.code}; it has told nobody anything: "${end.stdout}"`)

    const recovering = sabotaged ? yield* pay("tok_success", `${key}-again`) : yield* aegispay("recover", "--older-than", "0", "--json")
    const recovered = yield* Effect.promise(() => recovering.ended)
    say(`${sabotaged ? "aegispay pay, again" : "aegispay recover"}: ${recovered.stdout.trim() || recovered.stderr.trim()}`)
    const listing = yield* aegispay("payment", "list", "--merchant", merchant, "--json")
    const listed = yield* Effect.promise(() => listing.ended)
    const payments = paymentsIn(listed.stdout)
    for (const { amountCaptured, id, status } of payments) say(`payment ${id}: ${status}, EUR ${amountCaptured / 100} captured`)
    const charges = yield* fresh
    const [payment] = payments
    return [
      {
        name: "it was killed while the provider had the charge",
        holds: end.signal === "SIGKILL" && end.stdout === "" && charged?.amount === 4_990,
        detail: `ended with ${end.signal ?? end.code}, before it had an answer`
      },
      {
        name: "another process found out what happened",
        holds: payments.length === 1 && payment?.status === "succeeded" && payment.id === charged?.payment,
        detail: payments.map(({ status }) => status).join(", ") || listed.stderr
      },
      {
        name: "the customer is charged once",
        holds: charges.length === 1,
        detail: `${charges.length} charge${charges.length === 1 ? "" : "s"} in the ledger`
      }
    ]
  })
}

interface Listed {
  readonly id: string
  readonly status: string
  readonly amountCaptured: number
}

/** What `payment list --json` prints: a list, or a line for each. */
const paymentsIn = (text: string): ReadonlyArray<Listed> => {
  const first: { readonly data?: ReadonlyArray<Listed> } = JSON.parse(text.trim() || "{}")
  return first.data ?? []
}

const configuration = ({ account, url }: Provider) => ({
  database: { url: "env:DEMO_DATABASE_URL" },
  gateways: [{ name: account.name, kind: "sandbox", baseUrl: url, secretKey: "env:DEMO_PROVIDER_KEY" }],
  http: { apiKeys: [{ merchant, key: "env:DEMO_PROVIDER_KEY" }] },
  fingerprintKey: "env:DEMO_FINGERPRINT_KEY"
})
