/**
 * Hooks of a host that is not written in Effect: `run` answers a value, or a promise of one. docs/hooks.md says what each kind may do.
 *
 * A rejection means that the hook gave no answer. `signal` is aborted when nobody waits for it any more; a promise that is not over then counts
 * as a run that has not come to an end, and of these there may be so many (docs/hooks.md).
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { HookKind } from "../../domain/hooks/HookKind.ts"
import { type Hook, type HookOf, type HookRefused, Hooks } from "../../services/hooks/Hooks.ts"

type InputOf<Kind extends HookKind> = Parameters<HookOf<Kind>["run"]>[0]
type AnswerOf<Kind extends HookKind> = Effect.Success<ReturnType<HookOf<Kind>["run"]>>

type HostHookOf<Kind extends HookKind> = Omit<HookOf<Kind>, "run"> & {
  readonly run: (input: InputOf<Kind>, options: { readonly signal: AbortSignal }) => AnswerOf<Kind> | Promise<AnswerOf<Kind>>
}

/** A hook of any kind. */
export type HostHook = { readonly [Kind in HookKind]: HostHookOf<Kind> }[HookKind]

/** Registers them for as long as the engine runs. Their ends are waited for together. */
export const layer = (hooks: ReadonlyArray<HostHook>): Layer.Layer<never, HookRefused, Hooks> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { registerScoped } = yield* Hooks
      const together = yield* Scope.fork(yield* Effect.scope, "parallel")
      yield* Scope.provide(
        Effect.forEach(hooks, (hook) => registerScoped(toHook(hook)), { discard: true }),
        together
      )
    })
  )

/** What is registered for it. Input and answer are those of its kind, which the type of `hook` says; here they only pass through. */
const toHook = (hook: HostHook): Hook => {
  const asItIs = hook as unknown as Hook
  if (typeof hook !== "object" || hook === null || typeof hook.run !== "function") return asItIs
  const run = hook.run as (input: unknown, options: { readonly signal: AbortSignal }) => unknown
  // Read one by one: a host's object may be of a class, and a copy has nothing of what is inherited.
  const { enabled, eventTypes, kind, name, onFailure, priority, timeoutMillis } = hook as {
    readonly [field in keyof typeof hook | Special]: unknown
  }
  const asEffect = (input: unknown) => whole((signal) => Reflect.apply(run, hook, [input, { signal }]))
  return { kind, name, priority, enabled, timeoutMillis, onFailure, eventTypes, run: asEffect } as unknown as Hook
}

type Special = "onFailure" | "eventTypes"

/**
 * The answer of a promise. Interrupted, it aborts the signal and is over when the promise is: nobody waits for that, but until then it counts
 * among the runs that have not come to an end.
 */
const whole = (run: (signal: AbortSignal) => unknown): Effect.Effect<unknown, unknown> =>
  Effect.callback((resume) => {
    const controller = new AbortController()
    const answered = (async () => run(controller.signal))()
    const settled = answered.then(
      (answer) => resume(Effect.succeed(answer)),
      (error: unknown) => resume(Effect.fail(error))
    )
    return Effect.suspend(() => {
      controller.abort()
      return Effect.promise(() => settled)
    })
  })
