/**
 * Spans around what a payment spends its time with, where somebody collects them. Without a tracer none is made: a span would cost more
 * than a routing decision.
 *
 *     Charge.charge                 the command, until it is answered
 *       EventStore.commit           the intent
 *       Operation.sale              one per operation, with payment and gateway
 *         GatewayCall.call          the call with its repetitions; below it the spans of the HTTP client
 *         EventStore.commit         the outcome
 *
 * Attributes are ids, names and counts; never what a customer or a card is known by, amounts or messages.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** Of a span. `attributes` are made only when there is one. */
export interface SpanOptions {
  readonly kind?: Tracer.SpanKind
  readonly attributes: () => Readonly<Record<string, string | number>>
}

/** Runs an effect within a span, if there is a tracer. */
export const within = <A, E, R>(effect: Effect.Effect<A, E, R>, name: string, options: SpanOptions): Effect.Effect<A, E, R> =>
  Effect.contextWith((context) => inContext(context, effect, { ...options, name }))

/** The same for who has the fiber's context in hand: a step less. */
export const inContext = <A, E, R>(
  context: Context.Context<never>,
  effect: Effect.Effect<A, E, R>,
  { attributes, kind, name }: SpanOptions & { readonly name: string }
): Effect.Effect<A, E, R> =>
  Context.get(context, Tracer.Tracer) === Tracer.nativeTracer
    ? effect
    : Effect.withSpan(effect, name, { kind: kind ?? "internal", attributes: attributes(), captureStackTrace: false })
