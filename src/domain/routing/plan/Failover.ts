/**
 * Where a payment goes on after a charge that certainly did not take effect: the next gateway of the plan that was stored with its first
 * intent. The plan is not made anew: it was made with everything that was known, and what happened since shows in the breakers.
 *
 * Gateways that were left out of the plan because they were failing come after all others: then nothing better is left.
 */
import type { GatewayName, OperationNumber } from "../../payment/Ids.ts"
import type { CapsApplied, ExcludedGateway, RankedGateway, RoutingDecision } from "../Decision.ts"

/** Every gateway that a payment may go to by its plan, the best first. */
export const plan = (decision: RoutingDecision | undefined): ReadonlyArray<RankedGateway> =>
  decision === undefined ? [] : [...decision.ranked, ...decision.excluded.filter(isFailing).map(asLastResort)]

const isFailing = ({ reason }: ExcludedGateway): boolean => reason === "breaker_open" || reason === "unhealthy"

const asLastResort = ({ gateway, message }: ExcludedGateway): RankedGateway => ({
  gateway,
  score: 0,
  reason: `last resort: ${message}`.slice(0, 500)
})

/**
 * What is left of a decision for whoever may have to go on by it: the places and why each is where it is. What they were made from can be
 * several times as much; it is with the first intent in the store, and nothing that follows asks for it.
 */
export const withoutGrounds = (decision: RoutingDecision): RoutingDecision => ({
  ...origin(decision),
  reason: decision.reason,
  ranked: decision.ranked.map(withoutParts),
  excluded: decision.excluded.filter(isFailing).map(({ gateway, message, reason }) => ({ gateway, reason, message }))
})

const withoutParts = ({ gateway, reason, score }: RankedGateway): RankedGateway => ({ gateway, score, reason })

/** An error handler's choice, after it was bounded. */
export interface Advised {
  readonly gateway: GatewayName
  readonly hook: string
  readonly reason: string
}

/** What is known when a payment has to go on. */
export interface FailoverInput {
  /** The decision stored with the payment's first intent. */
  readonly decision: RoutingDecision | undefined
  /** The operation that did not take effect, and why, in a few words. */
  readonly after: OperationNumber
  readonly because: string
  readonly tried: ReadonlyArray<GatewayName>
  /** A gateway of the plan that an error handler advises. It goes first, though it was tried. */
  readonly advised?: Advised | undefined
  readonly isConfigured: (gateway: GatewayName) => boolean
  readonly caps: CapsApplied | undefined
  /** Epoch milliseconds. */
  readonly now: number
}

/**
 * What is left of the plan; `ranked` is empty where nothing is. Nothing is explored, so the choice is certain. What each place is made of is
 * with the first intent.
 */
export const next = ({ advised, after, because, caps, decision, isConfigured, now, tried }: FailoverInput): RoutingDecision => {
  const ranked: Array<RankedGateway> = []
  let first: RankedGateway | undefined
  const excluded: Array<ExcludedGateway> = []
  for (const place of plan(decision)) {
    const { gateway } = place
    if (gateway === advised?.gateway && isConfigured(gateway))
      first = { gateway, score: place.score, reason: `advised by the hook "${advised.hook}": ${advised.reason}` }
    else if (tried.includes(gateway)) excluded.push({ gateway, reason: "tried", message: "was tried for this payment" })
    else if (!isConfigured(gateway)) excluded.push({ gateway, reason: "not_configured", message: "is not configured any more" })
    else ranked.push({ gateway, score: place.score, reason: place.reason })
  }
  const goesOn = first === undefined ? "next of the plan" : first.reason
  if (first !== undefined) ranked.unshift(first)
  const [head] = ranked
  return {
    ...origin(decision),
    reason: head === undefined ? `nothing is left after ${because}` : `${head.gateway}: ${goesOn} after ${because}`.slice(0, 500),
    ranked,
    excluded,
    propensity: 1,
    decidedAt: now,
    after,
    ...(caps === undefined ? {} : { caps })
  }
}

/** The same gateway again, asking for the customer's authentication. */
export const stepUp = (options: {
  readonly decision: RoutingDecision | undefined
  readonly after: OperationNumber
  readonly gateway: GatewayName
  readonly caps: CapsApplied | undefined
  readonly now: number
}): RoutingDecision => ({
  ...origin(options.decision),
  reason: `${options.gateway}: the customer's bank wants them authenticated, which is done where it was asked`,
  ranked: [
    withoutParts(
      plan(options.decision).find(({ gateway }) => gateway === options.gateway) ?? {
        gateway: options.gateway,
        score: 0,
        reason: "asked for authentication"
      }
    )
  ],
  excluded: [],
  propensity: 1,
  decidedAt: options.now,
  after: options.after,
  ...(options.caps === undefined ? {} : { caps: options.caps })
})

/** Which policy the plan is of. */
const origin = (decision: RoutingDecision | undefined) => ({
  policy: decision?.policy ?? "none",
  ...(decision?.version === undefined ? {} : { version: decision.version }),
  ...(decision?.rule === undefined ? {} : { rule: decision.rule })
})
