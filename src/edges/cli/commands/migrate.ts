/**
 * `aegispay migrate`: brings the database schema up to date. On a server the role of `database.url` needs the right to create a schema.
 */
import * as Effect from "effect/Effect"
import * as Migrations from "../../../layers/postgres/Migrations.ts"
import { orCannotRun } from "../Failure.ts"
import { print } from "../Output.ts"
import * as Storage from "../runtime/Storage.ts"
import * as Target from "../runtime/Target.ts"

export const run = Effect.fnUntraced(function* () {
  const target = yield* Target.load
  const migrations = yield* orCannotRun(Migrations.run, `${target.source}: the schema cannot be changed`).pipe(
    Effect.provide(Storage.client(target, "create"))
  )
  const applied = migrations.map(([id, name]) => `${String(id).padStart(4, "0")}_${name}`)
  yield* print({
    json: { version: Migrations.expectedVersion, applied },
    text: [
      ...applied.map((name) => `applied ${name}`),
      `the schema is at version ${Migrations.expectedVersion}${applied.length === 0 ? "; nothing to do" : ""}`
    ]
  })
})
