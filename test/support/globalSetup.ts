/**
 * One embedded Postgres server for all integration tests of a run, unless `AEGISPAY_TEST_DATABASE_URL` names one.
 *
 * Test files run in processes of their own; they inherit the URL through the environment (see TestDatabase.ts). The server is stopped
 * and its directory removed after the last file, and it stops with the test run however that ends.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestDatabase from "./TestDatabase.ts"

export default async function setup(): Promise<() => Promise<void>> {
  const scope = Scope.makeUnsafe()
  const given = process.env[TestDatabase.urlVariable]
  const url = await Effect.runPromise(Scope.provide(TestDatabase.server, scope))
  process.env[TestDatabase.urlVariable] = Redacted.value(url)
  return async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    if (given === undefined) delete process.env[TestDatabase.urlVariable]
  }
}
