/**
 * The hooks of a configuration: its built-in ones. Where it has none there is no registry, and payments look for none.
 */
import * as Layer from "effect/Layer"
import * as BuiltinHooks from "../../../orchestration/hooks/builtin/BuiltinHooks.ts"
import * as HookRegistry from "../../../orchestration/hooks/HookRegistry.ts"
import { HookSettings } from "../../../services/hooks/HookSettings.ts"
import type { Config } from "../../config/Config.ts"

/** Registers them for as long as the layer lives. What they count comes from the repository. */
export const layer = ({ hooks: { builtin, settings } }: Config) =>
  Object.keys(builtin).length === 0
    ? Layer.empty
    : Layer.orDie(BuiltinHooks.layer(builtin)).pipe(
        // The names are ours and differ; priorities were checked with the configuration.
        Layer.provideMerge(HookRegistry.layer),
        Layer.provide(Layer.succeed(HookSettings, settings))
      )
