import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as TestDatabase from "./TestDatabase.ts"

describe("TestDatabase", () => {
  const seen: Array<string> = []
  for (const suite of ["one suite", "another suite"]) {
    layer(TestDatabase.layer)(suite, (it) => {
      it.effect("has an empty database of its own, under a TestClock too", () =>
        Effect.gen(function* () {
          const sql = yield* PgClient.PgClient
          yield* TestClock.adjust("1 hour")
          yield* sql`CREATE TABLE made_here (n int)`
          const rows = yield* sql<{ name: string; encoding: string }>`
            SELECT current_database() AS name, pg_encoding_to_char(encoding) AS encoding
            FROM pg_database WHERE datname = current_database()`
          assert.deepStrictEqual(
            rows.map((row) => row.encoding),
            ["UTF8"]
          )
          for (const { name } of rows) {
            assert.notInclude(seen, name)
            seen.push(name)
          }
        })
      )
    })
  }

  it.live("drops the databases of finished suites", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const rows = yield* sql`SELECT 1 FROM pg_database WHERE datname IN ${sql.in(seen)}`
      assert.strictEqual(seen.length, 2)
      assert.deepStrictEqual(rows, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )
})
