/**
 * The hooks of a configuration: its built-in ones, and those of a host. Where there are none there is no registry, and payments look for none.
 */
import * as Layer from "effect/Layer"
import * as BuiltinHooks from "../../../orchestration/hooks/builtin/BuiltinHooks.ts"
import * as HookRegistry from "../../../orchestration/hooks/HookRegistry.ts"
import type { Hooks } from "../../../services/hooks/Hooks.ts"
import { HookSettings } from "../../../services/hooks/HookSettings.ts"
import type { Config } from "../../config/Config.ts"

/** Registers them for as long as the layer lives. What the built-in ones count comes from the repository. */
export const layer = <E = never>({ hooks: { builtin, settings } }: Config, own?: Layer.Layer<never, E, Hooks>) =>
  Object.keys(builtin).length === 0 && own === undefined
    ? Layer.empty
    : // The names are ours and differ; priorities were checked with the configuration.
      Layer.merge(Layer.orDie(BuiltinHooks.layer(builtin)), own ?? Layer.empty).pipe(
        Layer.provideMerge(HookRegistry.layer),
        Layer.provide(Layer.succeed(HookSettings, settings))
      )
