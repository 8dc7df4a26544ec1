/**
 * `routing`: what a routing decision over ten gateways costs, with every signal there is.
 *
 * `decide` is the pure decision, its signals given; beside the default policy with twenty rules that do not match, with a split, and by
 * Thompson sampling, which also works out how likely its choice was. `select` is what a payment pays inside its fiber: reading the
 * metrics of its segment and the breakers of ten gateways, drawing a number, deciding, counting; with a thousand calls recorded and after ten million (`--calls`), and with a
 * call recorded at every gateway in between, so that nothing read is unchanged. The aim is 3 us for a decision with all signals.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Currency from "../../../src/domain/Currency.ts"
import type { PaymentDetails } from "../../../src/domain/payment/Event.ts"
import { GatewayName, makePaymentId, TenantId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import type { GatewaySignals } from "../../../src/domain/routing/Decision.ts"
import * as Chance from "../../../src/domain/routing/plan/Chance.ts"
import * as Route from "../../../src/domain/routing/plan/Route.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"
import * as GatewayList from "../../../src/gateways/GatewayList.ts"
import * as ScriptedGateway from "../../../src/gateways/ScriptedGateway.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryCardAttempts from "../../../src/layers/memory/routing/CardAttempts.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import * as GatewayGuards from "../../../src/orchestration/resilience/GatewayGuards.ts"
import * as RouteSelection from "../../../src/orchestration/routing/RouteSelection.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { alternate, type Case, type Options, progress, ratioOf, type Report, resultsOf, type Sample } from "../Harness.ts"

const aimMicros = 3

const gateways = Array.from({ length: 10 }, (_, index) => ScriptedGateway.make(`gateway-${index}`))
const names = gateways.map(({ name }) => name)
const EUR = Currency.CurrencyCode.make("EUR")

/** A card payment of 20.00 EUR, which is explored as often as configured. */
const details: PaymentDetails = {
  tenant: TenantId.make("benchmark"),
  amount: { currency: EUR, minor: 2_000n },
  captureMethod: "automatic",
  method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: "DE" },
  customerPresent: true,
  metadata: { order: "A-1" },
  completeWithinMillis: 900_000
}
const payment = makePaymentId({ bucket: 1, uuid: "01900000-0000-7000-8000-000000000001" })

const signals = names.map((_, index): GatewaySignals => ({
  samples: 1_000 + index,
  successRate: 0.99 - index / 1_000,
  approved: 900,
  declined: 40 + index,
  p95Millis: 800 + 137 * index,
  breaker: "closed",
  health: 0.95,
  failuresInRow: 0,
  level: "full"
}))

const fees = new Map(names.map((name, index) => [name, [{ currency: EUR, fixedMinor: 25, basisPoints: 140 + index }]]))
const elsewhere: Policy.PolicyData["rules"] = Array.from({ length: 20 }, (_, index) => ({
  name: `rule ${index}`,
  when: { currencies: [EUR], countries: ["FR"], amount: { currency: EUR, min: index } },
  then: { prefer: [GatewayName.make("gateway-3")] }
}))
const split = names.slice(0, 4).map((gateway) => ({ gateway, share: 20 }))

/** What was measured is used, so that none of it is optimised away. */
let used = 0

/** How many parts a measurement has. The fastest counts: on a shared machine the others were interrupted more often. */
const parts = 50
const decisionsPerTurn = 200

const decide = (name: string, data: Policy.PolicyData, seconds: number): Case => {
  const policy = Policy.make(data, fees)
  const random = Chance.streamOf(0.5)
  return {
    name,
    measure: Effect.sync((): Sample => {
      let fastest = Number.POSITIVE_INFINITY
      for (let part = 0; part < parts; part++) {
        const started = performance.now()
        let count = 0
        do {
          for (let turn = 0; turn < decisionsPerTurn; turn++) {
            used += Route.route({ payment, details, candidates: gateways, signals, policy, now: 1_700_000_000_000, random: random() })
              .ranked.length
          }
          count += decisionsPerTurn
        } while (performance.now() - started < (seconds * 1000) / parts)
        fastest = Math.min(fastest, ((performance.now() - started) * 1000) / count)
      }
      return { "us per decision": fastest }
    })
  }
}

const services = Layer.mergeAll(
  MemoryGatewayMetrics.layer,
  MemoryCardAttempts.layer,
  Layer.provideMerge(GatewayGuards.layer, CircuitBreakers.layer({ names: names.map((name) => BreakerName.of(name, "sale")) })),
  GatewayList.layer(gateways),
  Layer.succeed(RoutingPolicy, { policy: Policy.make({}, fees), customRules: [] })
)

const segment = Segment.ofPayment(details)
const sampleOf = (gateway: GatewayName, nth: number) => ({
  gateway,
  kind: "sale" as const,
  verdict: nth % 100 === 0 ? ("failed" as const) : ("healthy" as const),
  durationMillis: 100 + (nth % 997),
  segment,
  approval: nth % 10 === 0 ? ("declined" as const) : ("approved" as const)
})

/** A decision as a payment makes it, after so many calls; `busy`: with a call at every gateway in between, which is not counted. */
const select = Effect.fnUntraced(function* (
  name: string,
  options: { readonly calls: number; readonly busy: boolean; readonly seconds: number }
) {
  const context = yield* Layer.build(Layer.fresh(services))
  const metrics = Context.get(context, GatewayMetrics)
  for (let nth = 0; nth < options.calls; nth++) yield* metrics.record(sampleOf(names[nth % names.length] ?? GatewayName.make("none"), nth))
  const one = Effect.orDie(Effect.tap(RouteSelection.select(payment, details), RouteSelection.made))
  const change = Effect.forEach(names, (gateway) => metrics.record(sampleOf(gateway, 1)), { discard: true })
  const measure = Effect.gen(function* () {
    let fastest = Number.POSITIVE_INFINITY
    for (let part = 0; part < parts; part++) {
      const until = performance.now() + (options.seconds * 1000) / parts
      let count = 0
      let micros = 0
      do {
        if (options.busy) yield* change
        const turns = options.busy ? 1 : decisionsPerTurn
        const started = performance.now()
        for (let turn = 0; turn < turns; turn++) used += (yield* one).decision.ranked.length
        micros += (performance.now() - started) * 1000
        count += turns
      } while (performance.now() < until)
      fastest = Math.min(fastest, micros / count)
    }
    return { "us per decision": fastest } satisfies Sample
  })
  // Once for all decisions: a payment's fiber has its services already.
  return { name, measure: Effect.provideContext(measure, context) } satisfies Case
})

const cases = {
  decide: "decide, default policy",
  rules: "decide, 20 rules that do not match",
  split: "decide, a split over 4",
  fixed: "decide, fixed order",
  thompson: "decide, Thompson sampling",
  thousand: "select, 1e3 calls recorded",
  busy: "select, a call recorded at each in between"
}

/** Runs the workload. */
export const run = ({ calls, rounds, seconds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const many = calls.toExponential(0).replace("+", "")
    const later = `select, ${many} calls recorded`
    yield* progress(`routing: recording ${calls} calls`)
    const thousand = yield* select(cases.thousand, { calls: 1_000, busy: false, seconds })
    const million = yield* select(later, { calls, busy: false, seconds })
    const busy = yield* select(cases.busy, { calls: 1_000, busy: true, seconds })
    const samples = yield* alternate(
      "routing",
      [
        decide(cases.decide, {}, seconds),
        decide(cases.rules, { rules: elsewhere }, seconds),
        decide(cases.split, { rules: [{ name: "split", then: { split } }] }, seconds),
        decide(cases.fixed, { policy: "fixed" }, seconds),
        decide(cases.thompson, { policy: "thompson" }, seconds),
        thousand,
        million,
        busy
      ],
      rounds
    )
    const number = "us per decision"
    const results = resultsOf(samples)
    const medianOf = (name: string) => results.find((result) => result.name === name)?.numbers[number]?.median ?? Number.NaN
    return {
      workload: "routing",
      facts: { gateways: String(gateways.length), "aim, us per decision": String(aimMicros) },
      cases: results,
      ratios: [ratioOf(samples, { name: `${many} calls against 1e3`, of: later, over: cases.thousand, number })],
      notes: [
        `The pure decision takes ${(medianOf(cases.decide) / aimMicros).toFixed(2)} of the aim, one inside a fiber with every signal read anew ${(medianOf(later) / aimMicros).toFixed(2)}.`,
        `Gateways ranked in all: ${used}.`
      ]
    } satisfies Report
  }).pipe(Effect.scoped)
