/**
 * What an error of the database says about what was written.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConnectionError, SqlError, UnknownError } from "effect/sql/SqlError"
import { type Effects, effectsOf } from "../../../src/layers/postgres/SqlErrors.ts"

const reported = (code: string | undefined, operation = "execute") =>
  new SqlError({ reason: new UnknownError({ cause: code === undefined ? new Error("no code") : { code }, operation }) })

const broken = (operation: string, code?: string) =>
  new SqlError({ reason: new ConnectionError({ cause: code === undefined ? undefined : { code }, operation }) })

/** Codes of https://www.postgresql.org/docs/18/errcodes-appendix.html. */
const states: ReadonlyArray<readonly [code: string, what: string, effects: Effects]> = [
  ["40001", "serialization failure", "transient"],
  ["40P01", "deadlock", "transient"],
  ["53100", "disk full", "transient"],
  ["53200", "out of memory", "transient"],
  ["53300", "too many connections", "transient"],
  ["55P03", "lock not available", "transient"],
  ["57014", "query cancelled, and statement timeout", "transient"],
  ["57P03", "cannot connect now: starting", "transient"],
  ["58030", "input or output error", "transient"],
  ["25006", "read-only transaction: a replica", "transient"],
  ["57P01", "the administrator ended the session", "ambiguous"],
  ["57P02", "the server crashed", "ambiguous"],
  ["57P04", "the database was dropped", "ambiguous"],
  ["57P05", "idle session timeout", "ambiguous"],
  ["08006", "the connection failed", "ambiguous"],
  ["08007", "the outcome of the transaction is unknown", "ambiguous"],
  ["23505", "unique violation", "conflict"],
  ["23514", "check violation", "permanent"],
  ["42P01", "no such table", "permanent"],
  ["22P02", "not a value of its type", "permanent"],
  ["28P01", "wrong password", "permanent"]
]

describe("what was written, by the code of the server", () => {
  for (const [code, what, effects] of states) {
    it(`${code} ${what}: ${effects}`, () => assert.strictEqual(effectsOf(reported(code)), effects))
  }

  it("without a code nothing is known", () => {
    assert.strictEqual(effectsOf(reported(undefined)), "ambiguous")
    assert.strictEqual(effectsOf(reported("EPIPE")), "ambiguous")
  })

  it("a connection that breaks after something was sent says nothing", () => {
    assert.strictEqual(effectsOf(broken("execute")), "ambiguous")
  })

  it("what could not connect has sent nothing: it may be tried again, but not with a wrong password", () => {
    assert.strictEqual(effectsOf(broken("connect")), "transient")
    for (const code of ["53300", "57P03"]) assert.strictEqual(effectsOf(reported(code, "connect")), "transient")
    assert.strictEqual(effectsOf(reported("28P01", "connect")), "permanent")
  })
})
