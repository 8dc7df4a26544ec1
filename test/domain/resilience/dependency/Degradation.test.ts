/**
 * Levels of dependencies: every sequence of checks there is, up to a length at which nothing new comes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Degradation from "../../../../src/domain/resilience/dependency/Degradation.ts"

const settings: Degradation.DegradationSettings = { criticalAfter: 3, healthyAfter: 2, staleAfterMillis: 90, recoverEveryMillis: 120 }
const interval = 30

const results = { o: "ok", i: "impaired", f: "failed" } as const
type Step = keyof typeof results

/** The conditions after each check of a sequence like "offf", 30 ms apart, with recovery as soon as it is due where `recovers`. */
const history = (steps: string, { recovers = false } = {}): ReadonlyArray<Degradation.Condition> => {
  let condition = Degradation.initial(0)
  const conditions = [condition]
  for (const [index, step] of steps.split("").entries()) {
    const at = (index + 1) * interval
    condition = Degradation.afterCheck(condition, { result: results[step as Step], at }, settings)
    if (recovers && Degradation.isRecoveryDue(condition, at)) condition = Degradation.afterRecovery(condition, at, settings)
    conditions.push(condition)
  }
  return conditions
}

const levels = (steps: string) => history(steps).map(({ level }) => level)
const last = (steps: string, options?: { readonly recovers?: boolean }) => history(steps, options).at(-1)!

/** All sequences of up to seven checks. */
const sequences = (): ReadonlyArray<string> => {
  const all = [""]
  for (const sequence of all) if (sequence.length < 7) for (const step of Object.keys(results)) all.push(sequence + step)
  return all
}

describe("Degradation", () => {
  it("is unknown until the first check; good ones make it healthy, a bad one degraded, three in a row critical", () => {
    assert.deepStrictEqual(levels("offf"), ["unknown", "healthy", "degraded", "degraded", "critical"])
    assert.deepStrictEqual(levels("fff"), ["unknown", "degraded", "degraded", "critical"])
    assert.deepStrictEqual(levels("offof"), ["unknown", "healthy", "degraded", "degraded", "degraded", "degraded"])
  })

  it("comes back in steps: from critical to degraded with the first good check, to healthy with the second in a row", () => {
    assert.deepStrictEqual(levels("fffoo").slice(3), ["critical", "degraded", "healthy"])
    assert.deepStrictEqual(levels("fffofoo").slice(3), ["critical", "degraded", "degraded", "degraded", "healthy"])
  })

  it("works badly: degraded, never critical, and it ends a row of failures", () => {
    assert.deepStrictEqual(levels("oiiii").slice(1), ["healthy", "degraded", "degraded", "degraded", "degraded"])
    assert.deepStrictEqual(levels("ffiff").at(-1), "degraded")
    assert.deepStrictEqual(levels("fffi").at(-1), "degraded")
    assert.deepStrictEqual(levels("fffioo").slice(-2), ["degraded", "healthy"])
  })

  it("laws of every sequence", () => {
    for (const steps of sequences()) {
      const conditions = history(steps)
      for (const [index, after] of conditions.entries()) {
        const before = conditions[index - 1]
        if (before === undefined) continue
        const name = steps.slice(0, index)
        // Never both ways at once, and never from critical to healthy or from healthy to critical in one step.
        assert.isFalse(before.level === "critical" && after.level === "healthy", name)
        assert.isFalse(before.level === "healthy" && after.level === "critical", name)
        assert.notStrictEqual(after.level, "unknown", name)
        assert.strictEqual(after.level === "critical", /f{3,}$/.test(name), name)
        assert.strictEqual(after.level === "healthy", /(^o+|oo)$/.test(name), name)
        assert.isTrue(after.successes === 0 || after.failures === 0, name)
        assert.strictEqual(after.since === before.since, after.level === before.level, name)
        assert.strictEqual(after.recoverAt === undefined, after.level === "healthy", name)
      }
    }
  })

  it("recovery is due at once when it becomes critical, an interval after it became degraded, and then once an interval", () => {
    assert.strictEqual(last("of").recoverAt, 60 + 120)
    assert.strictEqual(last("offf").recoverAt, 120)
    assert.strictEqual(last("offf", { recovers: true }).recoverAt, 240)
    assert.strictEqual(last("offffff", { recovers: true }).recoverAt, 240)
    assert.strictEqual(last("offfffff", { recovers: true }).recoverAt, 360)
    assert.deepInclude(last("offfffff", { recovers: true }), { recoveries: 2, recoveredAt: 240 })
    assert.strictEqual(last("oiiiii", { recovers: true }).recoveredAt, 180)
  })

  it("recovery is never tried twice within an interval, however often the level changes", () => {
    for (const steps of sequences()) {
      const times = [
        ...new Set(history(steps, { recovers: true }).flatMap(({ recoveredAt }) => (recoveredAt === undefined ? [] : [recoveredAt])))
      ]
      for (const [index, at] of times.entries()) assert.isTrue(index === 0 || at - times[index - 1]! >= settings.recoverEveryMillis, steps)
    }
  })

  it("attempts are counted until it is healthy", () => {
    assert.strictEqual(last("fff", { recovers: true }).recoveries, 1)
    assert.strictEqual(last("fffo", { recovers: true }).recoveries, 1)
    assert.strictEqual(last("fffoo", { recovers: true }).recoveries, 0)
  })

  it("is unknown when it was not checked for too long, and what it was before once it is checked", () => {
    const critical = last("fff")
    assert.strictEqual(Degradation.levelAt(critical, 90 + 90, settings), "critical")
    assert.strictEqual(Degradation.levelAt(critical, 90 + 91, settings), "unknown")
    assert.strictEqual(Degradation.levelAt(Degradation.initial(0), 0, settings), "unknown")
    assert.strictEqual(Degradation.afterCheck(critical, { result: "ok", at: 10_000 }, settings).level, "degraded")
  })

  it("the whole is as bad as the worst of what is required; what is optional degrades it at most", () => {
    const overall = (...parts: ReadonlyArray<`${Degradation.Importance} ${Degradation.Level}`>) =>
      Degradation.overall(
        parts.map((part) => {
          const [importance, level] = part.split(" ") as [Degradation.Importance, Degradation.Level]
          return { importance, level }
        })
      )
    assert.strictEqual(overall(), "healthy")
    assert.strictEqual(overall("required healthy", "optional healthy"), "healthy")
    assert.strictEqual(overall("required healthy", "optional critical"), "degraded")
    assert.strictEqual(overall("required healthy", "optional degraded"), "degraded")
    assert.strictEqual(overall("required healthy", "optional unknown"), "healthy")
    assert.strictEqual(overall("required degraded", "required healthy"), "degraded")
    assert.strictEqual(overall("required unknown", "required degraded"), "unknown")
    assert.strictEqual(overall("required unknown", "required critical"), "critical")
  })

  it("every way is tried at every level, the primary first unless it is known not to work", () => {
    for (const level of ["healthy", "degraded", "unknown"] as const) {
      assert.deepStrictEqual(Degradation.tiersAt(level), ["primary", "degraded", "fallback"])
    }
    assert.deepStrictEqual(Degradation.tiersAt("critical"), ["degraded", "fallback", "primary"])
  })
})
