/**
 * Flags that every command has.
 */
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

/** Results as JSON on stdout. */
export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(Flag.withDescription("Print results as JSON"), Flag.withDefault(false))
})

/** The configuration file. Without it: an embedded database and a sandbox in the data directory. */
export const ConfigPath = GlobalFlag.Setting("config")({
  flag: Flag.String("config").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Configuration file (JSON); without it the development set-up in --data-dir is used"),
    Flag.optional
  )
})

/** Where the development set-up keeps its files. */
export const DataDir = GlobalFlag.Setting("data-dir")({
  flag: Flag.String("data-dir").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("Directory of the development set-up, used without --config (default: ./.aegispay)"),
    Flag.optional
  )
})

export const all = [Json, ConfigPath, DataDir] as const
