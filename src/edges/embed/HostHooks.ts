/**
 * Hooks of a host that is not written in Effect: `run` answers a value, or a promise of one. docs/hooks.md says what each kind may do.
 *
 * A rejection means that the hook gave no answer. `signal` is aborted when nobody waits for it any more.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { HookKind } from "../../domain/hooks/HookKind.ts"
import { type Hook, type HookOf, type HookRefused, Hooks } from "../../services/hooks/Hooks.ts"

type InputOf<Kind extends HookKind> = Parameters<HookOf<Kind>["run"]>[0]
type AnswerOf<Kind extends HookKind> = Effect.Success<ReturnType<HookOf<Kind>["run"]>>

type HostHookOf<Kind extends HookKind> = Omit<HookOf<Kind>, "run"> & {
  readonly run: (input: InputOf<Kind>, options: { readonly signal: AbortSignal }) => AnswerOf<Kind> | Promise<AnswerOf<Kind>>
}

/** A hook of any kind. */
export type HostHook = { readonly [Kind in HookKind]: HostHookOf<Kind> }[HookKind]

/** What a hook's promise rejected with, or what it threw. */
class HookRejected extends Schema.TaggedError<HookRejected>()("HookRejected", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** Registers them for as long as the engine runs. */
export const layer = (hooks: ReadonlyArray<HostHook>): Layer.Layer<never, HookRefused, Hooks> =>
  Layer.effectDiscard(Effect.forEach(hooks, (hook) => Hooks.use((registry) => registry.registerScoped(toHook(hook))), { discard: true }))

/** Input and answer are those of its kind, which the type of `hook` says; here they only pass through. */
const toHook = (hook: HostHook): Hook => {
  // Said at the start: a check that never answers would block every payment.
  if (typeof hook?.run !== "function") return hook as unknown as Hook
  const run = hook.run as (input: unknown, options: { readonly signal: AbortSignal }) => unknown
  const asEffect = (input: unknown) =>
    Effect.tryPromise({
      try: async (signal) => run(input, { signal }),
      catch: (error) => new HookRejected({ detail: error instanceof Error ? error.message : String(error) })
    })
  return { ...hook, run: asEffect } as Hook
}
