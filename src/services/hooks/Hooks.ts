/**
 * Hooks: a host's own code at named places of every payment, as eight typed kinds.
 *
 * A hook is registered under a name, as a layer or at run time. It has a priority, a time limit, and can be switched off and on. What it is
 * told is a frozen copy without tokens; what it answers is checked before it is used. A hook that fails, dies, hangs or answers nonsense is
 * left out and reported under its name; the payment goes on as the kind says.
 *
 * ```ts
 * const blockedList: Hook = {
 *   kind: "fraud_check",
 *   name: "blocked-list",
 *   run: ({ payment }) => Effect.map(isListed(payment.customer?.id), (listed) => (listed ? { action: "block", code: "listed" } : { action: "allow" }))
 * }
 * const layer = HookRegistry.register(blockedList).pipe(Layer.provideMerge(HookRegistry.layer))
 * ```
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Advice, Planned } from "../../domain/hooks/Advice.ts"
import type { Enrichment } from "../../domain/hooks/Enrichment.ts"
import type { HookFailure, HookKind } from "../../domain/hooks/HookKind.ts"
import type { PaymentFacts } from "../../domain/hooks/PaymentFacts.ts"
import type { RoutingAnswer } from "../../domain/hooks/RoutingAnswer.ts"
import type { FraudVerdict, Validation } from "../../domain/hooks/Verdict.ts"
import type { NotCharged } from "../../domain/operation/Settle.ts"
import type { PaymentEvent, PaymentEventType } from "../../domain/payment/Event.ts"
import type { EventId, GatewayName, PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import type { PaymentStatus } from "../../domain/payment/Status.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import type { RankedGateway } from "../../domain/routing/Decision.ts"

/** What every hook has. */
export interface HookOptions {
  /** 1 to 64 characters of `a-z 0-9 - _ .`; unique among the registered hooks. */
  readonly name: string
  /** Lowest first; default 100. Among equals, first registered first. */
  readonly priority?: number
  /** Default true. */
  readonly enabled?: boolean
  /** How long one run may take, in milliseconds: at most what its kind has in all. Default by kind (presets `hooks`). */
  readonly timeoutMillis?: number
}

/** A payment that is about to be charged. `now`: epoch milliseconds of this process. */
export interface ScreeningInput {
  readonly payment: PaymentFacts
  readonly now: number
}

/**
 * May refuse a payment. All run in order until one refuses; a refused payment fails with the hook's code and message.
 *
 * `onFailure`: what it means that the hook gave no answer; default `accept`, unless the settings say otherwise.
 */
export interface PreValidation extends HookOptions {
  readonly kind: "pre_validation"
  readonly onFailure?: "accept" | "refuse"
  readonly run: (input: ScreeningInput) => Effect.Effect<Validation, unknown>
}

/**
 * Judges how likely a payment is fraud. All run, in order: any block blocks, the highest score wins. Verdicts are recorded.
 *
 * `onFailure`: what it means that the hook gave no verdict; default `block`, unless the settings say otherwise.
 */
export interface FraudCheck extends HookOptions {
  readonly kind: "fraud_check"
  readonly onFailure?: "allow" | "block"
  readonly run: (input: ScreeningInput) => Effect.Effect<FraudVerdict, unknown>
}

/**
 * Adds what is known of a payment. All run in order, each told what those before it have set; later ones override earlier ones. An answer that
 * names a protected field is refused as a whole. What was set, and by whom, is recorded.
 */
export interface EnrichmentHook extends HookOptions {
  readonly kind: "enrichment"
  readonly run: (input: ScreeningInput) => Effect.Effect<Enrichment, unknown>
}

/** A gateway that can take a payment, with what is known of it. `signals`: absent where there were no calls. */
export type AvailableGateway = Pick<RankedGateway, "gateway" | "feeMinor" | "signals">

/** A payment that is being routed, and the gateways that can take it, by name: what was drawn by chance is no part of it. */
export interface RoutingInput extends ScreeningInput {
  readonly available: ReadonlyArray<AvailableGateway>
}

/**
 * Names the gateway that is tried first; the others follow in the order of the policy. They are asked in order until one is confident
 * (settings `minConfidence`) of a gateway that is available. `undefined`: it has no opinion.
 */
export interface RoutingStrategy extends HookOptions {
  readonly kind: "routing_strategy"
  readonly run: (input: RoutingInput) => Effect.Effect<RoutingAnswer | undefined, unknown>
}

/** A charge that certainly did not happen. `planned`: what the engine would do next. `charges`: how many were made, this one included. */
export interface ErrorInput extends ScreeningInput {
  readonly gateway: GatewayName
  readonly because: NotCharged["because"]
  readonly planned: Planned
  readonly charges: number
}

/**
 * Advises what follows a charge that certainly did not happen. They are asked in order until one gives advice; `undefined`: none. What the
 * safety table or the policy forbids is refused and reported, and the engine does what it had planned.
 */
export interface ErrorHandler extends HookOptions {
  readonly kind: "error_handler"
  readonly run: (input: ErrorInput) => Effect.Effect<Advice | undefined, unknown>
}

/** A payment that came to rest: its view as hosts see it, and the facts of it. */
export interface SettledInput extends ScreeningInput {
  readonly view: PaymentView
}

/**
 * Looks at a payment after it came to rest (authorized, succeeded, failed, ...). It undoes nothing: what it refuses is recorded as
 * `PostValidationFailed` and reported. It runs off the payment's path, at most once for each time the payment comes to rest.
 */
export interface PostValidation extends HookOptions {
  readonly kind: "post_validation"
  readonly run: (input: SettledInput) => Effect.Effect<Validation, unknown>
}

/** An event that is durable, without tokens. `status`: of the payment after the commit it was part of. */
export interface ListenedEvent {
  readonly eventId: EventId
  readonly paymentId: PaymentId
  readonly tenant: TenantId
  /** Its place in the payment's history, from 1. */
  readonly version: number
  /** Epoch milliseconds. */
  readonly occurredAt: number
  readonly event: PaymentEvent
  readonly status: PaymentStatus
}

/**
 * Is told of events after they are durable. Off the payment's path, several at a time and in no order that holds; at most once, in the process
 * that committed them: what must not be missed is delivered by the outbox. Where events come faster than a listener takes them, they are
 * dropped and counted. `eventTypes`: only these; absent: all.
 */
export interface EventListener extends HookOptions {
  readonly kind: "event_listener"
  readonly eventTypes?: ReadonlyArray<PaymentEventType>
  readonly run: (event: ListenedEvent) => Effect.Effect<void, unknown>
}

/** One thing that the engine counted or measured, under the names of the metric catalogue. */
export interface Observation {
  readonly name: string
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
}

/** Is told of what the engine counts and measures, in batches, off the payment's path. Bounded and dropped as for listeners. */
export interface MetricsCollector extends HookOptions {
  readonly kind: "metrics_collector"
  readonly run: (observations: ReadonlyArray<Observation>) => Effect.Effect<void, unknown>
}

/** A hook of any kind. */
export type Hook =
  | PreValidation
  | FraudCheck
  | EnrichmentHook
  | RoutingStrategy
  | ErrorHandler
  | PostValidation
  | EventListener
  | MetricsCollector

/** A hook of one kind. */
export type HookOf<Kind extends HookKind> = Extract<Hook, { readonly kind: Kind }>

/** Why a hook cannot be registered. */
export const HookRefusedReason = Schema.Union([
  /** A hook of that name is registered. */
  Schema.TaggedStruct("NameTaken", {}),
  /** As many hooks of its kind are registered as there may be. */
  Schema.TaggedStruct("Full", { maximum: Schema.Int }),
  /** Its name, priority or time limit is none. */
  Schema.TaggedStruct("Invalid", { detail: Schema.String })
])

/** A hook was not registered; nothing has changed. */
export class HookRefused extends Schema.TaggedError<HookRefused>()("HookRefused", { hook: Schema.String, reason: HookRefusedReason }) {
  override get message(): string {
    return `hook "${this.hook.slice(0, 64)}" cannot be registered: ${explain(this.reason)}`
  }
}

const explain = (reason: typeof HookRefusedReason.Type): string => {
  switch (reason._tag) {
    case "NameTaken":
      return "a hook of this name is registered; unregister it first, or use another name"
    case "Full":
      return `there are ${reason.maximum} hooks of its kind, the most there may be`
    case "Invalid":
      return reason.detail
  }
}

/** A hook as it stands. Times in milliseconds. */
export interface HookStatus {
  readonly kind: HookKind
  readonly name: string
  readonly priority: number
  readonly enabled: boolean
  readonly timeoutMillis: number
  readonly runs: number
  /** Runs that took longer than they may and have not come to an end, though they were interrupted. */
  readonly abandoned: number
  readonly failures: { readonly [Failure in HookFailure]: number }
  /** Events and observations it was not told of, because it did not keep up. */
  readonly dropped: number
  readonly totalMillis: number
  readonly maxMillis: number
}

/** A hook that did not do what it is for. `detail`: at most 500 characters. */
export interface HookReport {
  readonly kind: HookKind
  readonly hook: string
  readonly failure: HookFailure
  readonly detail: string
  /** Epoch milliseconds of this process. */
  readonly at: number
}

/**
 * The registry of hooks.
 *
 * - `register`: adds a hook until `unregister` is run, which may be repeated. It takes part in payments that begin after that.
 * - `registerScoped`: until the scope closes.
 * - `setEnabled`: switches a hook off or on; false where no hook has the name.
 * - `list`: the hooks in the order in which they run, by kind.
 * - `reports`: the last failures of any hook, newest first; at most 100 are kept.
 */
export class Hooks extends Context.Service<
  Hooks,
  {
    readonly register: (hook: Hook) => Effect.Effect<{ readonly unregister: Effect.Effect<void> }, HookRefused>
    readonly registerScoped: (hook: Hook) => Effect.Effect<void, HookRefused, Scope.Scope>
    readonly setEnabled: (name: string, enabled: boolean) => Effect.Effect<boolean>
    readonly list: Effect.Effect<ReadonlyArray<HookStatus>>
    readonly reports: Effect.Effect<ReadonlyArray<HookReport>>
  }
>()("aegispay/services/hooks/Hooks") {}
