/**
 * Where payments go, by what is known of the gateways, and one decision in all its parts.
 */
import * as Effect from "effect/Effect"
import type { RoutingDecision } from "../../../src/domain/routing/Decision.ts"
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import * as Ask from "../Ask.ts"
import * as Engine from "../Engine.ts"
import type { Provider } from "../Provider.ts"
import type { Section } from "../Section.ts"

const rounds = 4
const perRound = 25
const amountMinor = 999n

/** Parts and scores are stored with four digits. */
const roundedBy = 0.000_11

/** A payment, and what its first charge was decided by. */
interface Routed {
  readonly payment: PaymentView
  readonly decision: RoutingDecision
}

export const section: Section = {
  name: "routing",
  title: "Routing with metrics, and a decision explained",
  shows: [
    `${rounds * perRound} payments of EUR 9.99 over three gateways that differ in price and speed. Each is scored by success (weight 0.5), latency (0.3) and`,
    "cost (0.2) from what was measured; 5 % explore the others. Every decision is stored with the payment, with all that it was made from."
  ],
  sabotage: "the engine believes that the dearest gateway is free",
  run: Effect.fnUntraced(function* ({ sabotaged, say, ground }) {
    const { database, directory, engine: usual, providers } = yield* ground
    const free = { fixedMinor: 0, basisPoints: 0 }
    const engine = sabotaged
      ? yield* Engine.build({
          providers,
          store: "postgres",
          directory,
          database,
          priceOf: ({ name, price }) => (name === "quick" ? free : price)
        })
      : usual
    const routed: Array<Routed> = []
    for (let round = 0; round < rounds; round++) {
      routed.push(...(yield* ask(engine, round)))
      say(line(routed.slice(-perRound), (round + 1) * perRound, providers))
    }
    const explained = routed.findLast(({ decision }) => decision.explored !== true) ?? routed[0]!
    for (const text of explain(explained)) say(text)
    const fees = new Map((yield* Effect.forEach(providers, (provider) => provider.fees)).flat().map(({ fee, payment }) => [payment, fee]))
    const best = routed.filter(({ decision }) => decision.explored !== true)
    const wrong = best.filter(({ decision, payment }) => !isBest(decision) || decision.ranked[0]?.gateway !== payment.gateway)
    const off = routed.filter(({ decision }) => decision.ranked.some((one) => Math.abs(one.score - scoreOf(one, decision)) > roundedBy))
    const dear = routed.filter(({ decision, payment }) => decision.ranked[0]?.feeMinor !== fees.get(payment.id))
    const cheapest = providers[0]?.account.name
    const atCheapest = routed.filter(({ payment }) => payment.gateway === cheapest).length
    return [
      {
        name: "payments go where the score is best, but for exploration",
        holds: wrong.length === 0 && off.length === 0,
        detail: `${best.length} of ${routed.length} by score, ${routed.length - best.length} explored; all scores are the weighted sums of their parts`
      },
      {
        name: "the cheapest, as quick and as good as the others, gets most",
        holds: atCheapest > routed.length / 2,
        detail: `${atCheapest} of ${routed.length} at ${cheapest}`
      },
      {
        name: "the fees that decisions counted on are those that were taken",
        holds: dear.length === 0,
        detail: `${routed.length - dear.length} of ${routed.length} agree with the providers' own lists`
      }
    ]
  })
}

const ask = Effect.fnUntraced(function* ({ payments }: Engine.Engine, round: number) {
  const tenant = Ask.tenant("routing")
  const keys = Array.from({ length: perRound }, (_, number) => `order-${round}-${number}`)
  return yield* Effect.forEach(
    keys,
    Effect.fnUntraced(function* (key) {
      const { payment } = yield* payments.charge(Ask.charge({ tenant, key, minor: amountMinor }))
      const history = yield* payments.history({ id: payment.id, tenant })
      const decision = history.flatMap(({ event }) => (event._tag === "OperationIntended" ? (event.intent.decision ?? []) : []))[0]
      return decision === undefined
        ? yield* Effect.die(new Error(`${payment.id} has no decision`))
        : ({ payment, decision } satisfies Routed)
    }),
    { concurrency: 5 }
  )
})

type Ranked = RoutingDecision["ranked"][number]

const scoreOf = ({ parts, score }: Ranked, { weights }: RoutingDecision): number =>
  parts === undefined || weights === undefined
    ? score
    : parts.success * weights.success + parts.latency * weights.latency + parts.cost * weights.cost

const isBest = ({ ranked }: RoutingDecision): boolean => ranked.every(({ score }) => score <= (ranked[0]?.score ?? 0))

/** Where a round went, and how the gateways stood at its end. */
const line = (round: ReadonlyArray<Routed>, payments: number, providers: ReadonlyArray<Provider>): string => {
  const last = round.at(-1)?.decision
  const shares = providers.map(({ account: { name } }) => {
    const share = round.filter(({ payment }) => payment.gateway === name).length / round.length
    const score = last?.ranked.find(({ gateway }) => gateway === name)?.score
    return `${name} ${(share * 100).toFixed(0).padStart(3)} % (score ${score?.toFixed(3) ?? "-"})`
  })
  return `${String(payments).padStart(4)} payments   ${shares.join("   ")}`
}

const explain = ({ decision, payment }: Routed): ReadonlyArray<string> => [
  `${payment.id}, EUR 9.99: ${decision.reason}`,
  ...decision.ranked.map(({ feeMinor, gateway, parts, reason, score, signals }, index) =>
    [
      `  ${index + 1}. ${gateway.padEnd(9)} ${score.toFixed(4)}`,
      `success ${parts?.success.toFixed(3) ?? "-"}  latency ${parts?.latency.toFixed(3) ?? "-"}  cost ${parts?.cost.toFixed(3) ?? "-"}`,
      `fee ${feeMinor === undefined ? "-" : (feeMinor / 100).toFixed(2)}  p95 ${signals?.p95Millis ?? 0} ms of ${signals?.samples ?? 0} calls`,
      reason
    ].join("   ")
  ),
  `  policy ${decision.policy}, version ${decision.version ?? "-"}, probability ${decision.propensity?.toFixed(3) ?? "-"}`
]
