/**
 * An in-process Postgres (PGlite, Postgres compiled to WebAssembly) with the tables in place.
 *
 * It is a development dependency and loaded only when it is asked for: whoever simulates over Postgres installs it.
 */
import * as Schema from "effect/Schema"
import * as PgliteDatabase from "./PgliteDatabase.ts"
import type { Postgres } from "./Session.ts"

/** The version that the simulation is tested with. */
const version = "0.5.14"

/** It is not installed, or does not run here. */
export class PgliteUnavailable extends Schema.TaggedError<PgliteUnavailable>()("PgliteUnavailable", { cause: Schema.Defect() }) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the in-process Postgres cannot be loaded (${why}); install it: npm install --save-dev @electric-sql/pglite@${version}`
  }
}

const unavailable = (cause: unknown) => Promise.reject(new PgliteUnavailable({ cause }))

/** The module, where it is installed. Rejects with `PgliteUnavailable`. */
export const load = () => import("@electric-sql/pglite").catch(unavailable)

/** Starts one, which takes seconds, and makes the tables. Rejects with `PgliteUnavailable`. */
export const open = async (): Promise<Postgres> => {
  const { PGlite } = await load()
  const postgres = await PGlite.create().catch(unavailable)
  PgliteDatabase.prepare(postgres)
  return postgres
}
