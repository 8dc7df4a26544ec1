/**
 * Which gateways can take a payment, in which order, and why: gathers what is known and lets the domain decide (`plan/Route.ts`).
 *
 * What follows from the plan later is here too: the next gateway after a charge that did not take effect, and the same gateway again with
 * the customer's authentication. Both are kept to the retry caps, like the first charge.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { NotCharged } from "../../domain/operation/Settle.ts"
import type { GatewayTerms } from "../../domain/payment/Command.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { GatewayName, PaymentId } from "../../domain/payment/Ids.ts"
import { lastCharge, operationOf, type Payment } from "../../domain/payment/State.ts"
import type { RoutingDecision } from "../../domain/routing/Decision.ts"
import * as Failover from "../../domain/routing/plan/Failover.ts"
import * as Route from "../../domain/routing/plan/Route.ts"
import { byPriority, defaultPriority, type MatchedRule, RuleAction, type RuleContext } from "../../domain/routing/policy/Rules.ts"
import { type Gateway, Gateways } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import type { CardAttempts } from "../../services/routing/CardAttempts.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import { type CustomRule, type Routing, RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import { Settings } from "../../services/Settings.ts"
import { ActiveHooks } from "../hooks/Registry.ts"
import * as Strategies from "../hooks/Strategies.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import { NoUsableGateway } from "../payment/Errors.ts"
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import { GatewayGuards } from "../resilience/GatewayGuards.ts"
import * as CardCaps from "./CardCaps.ts"
import * as Signals from "./Signals.ts"

/** What a decision takes from its surroundings. */
type Needed = Gateways | GatewayMetrics | CircuitBreakers | GatewayGuards

/**
 * A plan for a payment that is not durable yet, and may turn out to be there already. What counts it is left to whoever commits it: `made` or
 * `withdrawn`.
 */
export interface Selection {
  readonly decision: RoutingDecision
  readonly durationNanos: number
  /** Where the payment is to be a half-open gateway's probe. */
  readonly probe: Signals.PromisedProbe | undefined
}

/**
 * Plans the gateways of a payment. Fails with `NoUsableGateway` when there is none (`notMade` reports it). This runs with every payment:
 * where neither the store of declined attempts nor a host's own rules are asked, it is one step of the fiber.
 */
export const select = (payment: PaymentId, details: PaymentDetails): Effect.Effect<Selection, NoUsableGateway, Needed | CardAttempts> =>
  Effect.withFiber((fiber) => {
    const surroundings = surroundingsOf(fiber.context as Context.Context<Needed>)
    const { clock, routing } = surroundings
    const { customRules, policy } = routing
    const now = clock.currentTimeMillisUnsafe()
    const judging = { id: payment, details, declined: none, now }
    const caps = CardCaps.judgeAtOnce(policy, judging)
    if (caps._tag === "Judged" && customRules.length === 0)
      return decide(surroundings, { payment, details, policy, now, caps: caps.verdict, custom: undefined })
    return Effect.flatMap(CardCaps.judge(policy, judging), (caps) =>
      Effect.flatMap(firstCustom(customRules, { payment, details, now }), (custom) =>
        decide(surroundings, { payment, details, policy, now, caps, custom })
      )
    )
  })

const none: ReadonlyArray<never> = []

/** What is asked, and by which policy. */
type Asked = Pick<Route.RouteInput, "payment" | "details" | "policy" | "now" | "caps" | "custom">

/** What a decision takes from its fiber's context. */
interface Surroundings extends Signals.Sources {
  readonly context: Context.Context<Needed>
  readonly clock: Clock.Clock
  readonly routing: Routing
  readonly gateways: ReadonlyArray<Gateway>
  readonly readers: ReadonlyArray<Signals.Reader>
  readonly random: typeof Random.Random.Service
  readonly hooks: typeof ActiveHooks.Service
}

/** Of the last decision: the payments of an engine have one context, and what is in one never changes. */
let last: Surroundings | undefined

const surroundingsOf = (context: Context.Context<Needed>): Surroundings => {
  if (last?.context === context) return last
  const gateways = Context.get(context, Gateways).all
  const guards = Context.get(context, GatewayGuards)
  return (last = {
    context,
    clock: Context.get(context, Clock.Clock),
    routing: Context.get(context, RoutingPolicy),
    gateways,
    readers: Signals.readersOf(guards, gateways),
    metrics: Context.get(context, GatewayMetrics),
    breakers: Context.get(context, CircuitBreakers),
    random: Context.get(context, Random.Random),
    hooks: Context.get(context, ActiveHooks)
  })
}

/** Reads what is known now, and decides. */
const decide = (surroundings: Surroundings, asked: Asked): Effect.Effect<Selection, NoUsableGateway> => {
  const { breakers, clock, gateways, hooks, random, readers } = surroundings
  const { caps, custom, details, now, payment, policy } = asked
  const startedAt = clock.monotonicTimeNanosUnsafe()
  const reading = { details, now, monotonic: Number(startedAt) / 1e6 }
  const signals = Signals.read(surroundings, readers, reading)
  const decision = Route.route({
    payment,
    details,
    candidates: gateways,
    signals,
    policy,
    custom,
    caps,
    now,
    random: random.nextDoubleUnsafe()
  })
  if (decision.ranked.length === 0) return Effect.fail(noUsableGateway(decision))
  const durationNanos = Number(clock.monotonicTimeNanosUnsafe() - startedAt)
  if (hooks === undefined || hooks.lists.routing_strategy.length === 0)
    return Effect.succeed({ decision, durationNanos, probe: Signals.promiseProbe(breakers, decision, reading) })
  return Effect.map(Strategies.choose(hooks, payment, details, decision), (decision) => ({
    decision,
    durationNanos,
    probe: Signals.promiseProbe(breakers, decision, reading)
  }))
}

/** The payment is durable: counts its decision. */
export const made = ({ decision, durationNanos }: Selection): Effect.Effect<void> =>
  Effect.withFiberSucceed(({ context }) => {
    const [first] = decision.ranked
    if (first !== undefined) Metrics.routed(context, { gateway: first.gateway, explored: decision.explored === true, durationNanos })
  })

/** The payment is there already, and this plan of it was never needed: it is nobody's probe. */
export const withdrawn = ({ probe }: Selection): void => {
  if (probe !== undefined) Signals.withdrawProbe(probe)
}

const noUsableGateway = ({ excluded, rule, version }: RoutingDecision) =>
  new NoUsableGateway({
    excluded,
    ...(rule === undefined ? {} : { rule }),
    ...(version === undefined ? {} : { version })
  })

/** There is no intent to keep the decision in: the log and a metric tell of it, beside the error. */
export const notMade = (payment: PaymentId, error: NoUsableGateway): Effect.Effect<void> =>
  Effect.andThen(PaymentLog.about(payment)(Effect.logWarning(error.message)), Metrics.notRouted(error.excluded))

/** The first of a host's own rules that concerns the payment. One that throws, or answers what is no action, does not. */
const firstCustom = Effect.fnUntraced(function* (rules: ReadonlyArray<CustomRule>, context: RuleContext) {
  for (const rule of byPriority(rules)) {
    const action = yield* Effect.catchDefect(
      Effect.sync(() => actionOf(rule.decide(context))),
      (defect) =>
        Effect.as(
          PaymentLog.about(context.payment)(Effect.logError(`the routing rule "${rule.name}" failed and is passed over`, defect)),
          undefined
        )
    )
    if (action === undefined) continue
    if (Result.isSuccess(action))
      return { name: rule.name, priority: rule.priority ?? defaultPriority, action: action.success } satisfies MatchedRule
    // Without what it answered, which may be anything of the payment.
    yield* PaymentLog.about(context.payment)(
      Effect.logError(`the routing rule "${rule.name}" answered what is no action of a rule and is passed over`)
    )
  }
  return undefined
})

const decodeAction = Schema.decodeUnknownResult(RuleAction)

/** The decision is stored by the same bounds: an action beyond them would stop the payment. */
const actionOf = (answer: unknown) => {
  if (answer === undefined) return undefined
  if (typeof answer !== "object" || answer === null) return decodeAction(answer)
  return decodeAction(Object.fromEntries(Object.entries(answer).filter(([, value]) => value !== undefined)))
}

/** Where a charge goes on: the terms for its intent, and the decision that is stored with it. */
export interface Onward {
  readonly terms: GatewayTerms
  readonly decision: RoutingDecision
}

/**
 * The next gateway of the payment's plan, or the one that an error handler advises; `undefined` where none is left or a retry cap forbids
 * another charge. `now`: database time.
 */
export const next = Effect.fnUntraced(function* (
  payment: Payment,
  step: { readonly after: NotCharged; readonly tried: ReadonlyArray<GatewayName>; readonly advised?: Failover.Advised | undefined },
  now: number
) {
  const gateways = yield* Gateways
  const { policy } = yield* RoutingPolicy
  const caps = yield* CardCaps.judge(policy, { id: payment.id, details: payment.details, declined: CardCaps.declinedOf(payment), now })
  if (caps?.refused !== undefined) return yield* capped(payment, caps.refused)
  const decision = Failover.next({
    decision: payment.operations[0]?.intent.decision,
    after: step.after.operation,
    because: reasonOf(payment, step.after),
    tried: step.tried,
    advised: step.advised,
    isConfigured: (name) => gateways.all.some((gateway) => gateway.name === name),
    caps: caps?.applied,
    now
  })
  const [first] = decision.ranked
  const terms = first === undefined ? undefined : yield* termsFor(first.gateway)
  return terms === undefined ? undefined : ({ terms, decision } satisfies Onward)
})

/** The same gateway again, asking for the customer's authentication; `undefined` where that is not possible any more. */
export const stepUp = Effect.fnUntraced(function* (
  payment: Payment,
  step: { readonly after: NotCharged; readonly gateway: GatewayName },
  now: number
) {
  const { policy } = yield* RoutingPolicy
  const caps = yield* CardCaps.judge(policy, { id: payment.id, details: payment.details, declined: CardCaps.declinedOf(payment), now })
  if (caps?.refused !== undefined) return yield* capped(payment, caps.refused)
  const terms = yield* termsFor(step.gateway)
  const decision = Failover.stepUp({
    decision: payment.operations[0]?.intent.decision,
    after: step.after.operation,
    gateway: step.gateway,
    caps: caps?.applied,
    now
  })
  return terms === undefined ? undefined : ({ terms, decision } satisfies Onward)
})

/** The gateways that are left of the payment's plan. */
export const remaining = (payment: Payment, tried: ReadonlyArray<GatewayName>) =>
  Effect.contextWith((context: Context.Context<Gateways>) => {
    const { all } = Context.get(context, Gateways)
    const left = Failover.plan(payment.operations[0]?.intent.decision).map(({ gateway }) => gateway)
    return Effect.succeed(left.filter((name) => !tried.includes(name) && all.some((gateway) => gateway.name === name)))
  })

/** There will be no intent to keep the reason in. */
const capped = (payment: Payment, refused: string) =>
  Effect.as(
    PaymentLog.about(payment.id, lastCharge(payment)?.intent.gateway)(Effect.logInfo(`no other charge is made: ${refused}`)),
    undefined
  )

const reasonOf = (payment: Payment, { because, operation }: NotCharged): string => {
  const gateway = operationOf(payment, operation)?.intent.gateway ?? "the gateway"
  switch (because._tag) {
    case "Declined":
      return `a ${because.category} decline at ${gateway}`
    case "NotSent":
      return `${gateway} could not be sent the request (${because.reason})`
    case "Absent":
      return `${gateway} did not carry out the request`
  }
}

/** The terms of a gateway; `undefined` where it is not configured any more. */
export const termsFor = Effect.fnUntraced(function* (name: GatewayName) {
  const gateways = yield* Gateways
  const settings = yield* Settings
  return yield* gateways.get(name).pipe(
    Effect.map((gateway) => termsOf(gateway, settings.sendWindowMillis)),
    Effect.catchTag("GatewayNotConfigured", () => Effect.succeed(undefined))
  )
})

/** What an intent takes from a gateway. */
export const termsOf = (gateway: Gateway, sendWindowMillis: number): GatewayTerms => ({
  gateway: gateway.name,
  account: gateway.account,
  adapterVersion: gateway.adapterVersion,
  apiVersion: gateway.apiVersion,
  captures: gateway.capabilities.captures,
  capabilitiesOf: (kind) => gateway.capabilities.operations[kind],
  sendWindowMillis
})
