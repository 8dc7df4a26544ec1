/**
 * How far what we depend on is away: a level for each dependency, from the results of checking it, and what follows from the level.
 *
 *     unknown  --ok--> healthy --impaired, failed--> degraded --failed 3 in a row--> critical
 *     healthy <--ok 2 in a row-- degraded <--ok, impaired-- critical
 *
 * The way back is in steps, so that a dependency that answers once in a while is not taken for one that works. What was not checked for
 * a while is unknown, whatever it was.
 *
 * Times are milliseconds of one clock that never goes back.
 */

/** `unknown`: not checked yet, or not for too long. */
export type Level = "healthy" | "degraded" | "critical" | "unknown"

/** What a check found: it works, it works badly (slow, on its own last reserve), it does not work. */
export type CheckResult = "ok" | "impaired" | "failed"

/** Can payments be made without it? */
export type Importance = "required" | "optional"

/** When a level changes, and how often recovery is tried. Counts of 1 or more. */
export interface DegradationSettings {
  /** Failed checks in a row, then it is critical. */
  readonly criticalAfter: number
  /** Good checks in a row, then it is healthy again. */
  readonly healthyAfter: number
  /** Not checked for so long: unknown. */
  readonly staleAfterMillis: number
  readonly recoverEveryMillis: number
}

/** One dependency's condition. */
export interface Condition {
  /** The level by its checks; `levelAt` takes their age into account. */
  readonly level: Level
  /** When it got this level. */
  readonly since: number
  readonly checkedAt: number | undefined
  /** Results in a row. */
  readonly successes: number
  readonly failures: number
  /** When recovery is due; undefined while there is nothing to recover from. */
  readonly recoverAt: number | undefined
  readonly recoveredAt: number | undefined
  /** Recovery attempts since it was healthy. */
  readonly recoveries: number
}

/** Never checked. */
export const initial = (now: number): Condition => ({
  level: "unknown",
  since: now,
  checkedAt: undefined,
  successes: 0,
  failures: 0,
  recoverAt: undefined,
  recoveredAt: undefined,
  recoveries: 0
})

/** The condition after a check that ended at `at`. */
export const afterCheck = (
  before: Condition,
  check: { readonly result: CheckResult; readonly at: number },
  settings: DegradationSettings
): Condition => {
  const { at, result } = check
  const successes = result === "ok" ? before.successes + 1 : 0
  const failures = result === "failed" ? before.failures + 1 : 0
  const level = levelAfter(before.level, { result, successes, failures }, settings)
  return {
    level,
    since: level === before.level ? before.since : at,
    checkedAt: at,
    successes,
    failures,
    recoverAt: recoverAtOf(before, { level, at }, settings),
    recoveredAt: before.recoveredAt,
    recoveries: level === "healthy" ? 0 : before.recoveries
  }
}

const levelAfter = (
  before: Level,
  check: { readonly result: CheckResult; readonly successes: number; readonly failures: number },
  settings: DegradationSettings
): Level => {
  switch (check.result) {
    case "ok":
      return before === "healthy" || before === "unknown" || check.successes >= settings.healthyAfter ? "healthy" : "degraded"
    case "impaired":
      return "degraded"
    case "failed":
      return check.failures >= settings.criticalAfter ? "critical" : "degraded"
  }
}

/** At once where it became critical, one interval after it became degraded; never sooner than an interval after the last attempt. */
const recoverAtOf = (
  before: Condition,
  now: { readonly level: Level; readonly at: number },
  { recoverEveryMillis }: DegradationSettings
): number | undefined => {
  if (now.level === "healthy") return undefined
  const earliest = before.recoveredAt === undefined ? now.at : Math.max(now.at, before.recoveredAt + recoverEveryMillis)
  if (now.level === "critical" && before.level !== "critical") return earliest
  return before.recoverAt ?? Math.max(now.at + recoverEveryMillis, earliest)
}

/** Is it time to try to get it back? */
export const isRecoveryDue = (condition: Condition, now: number): boolean => condition.recoverAt !== undefined && now >= condition.recoverAt

/** The condition after an attempt to recover, whatever came of it: that is for the next check to say. */
export const afterRecovery = (before: Condition, at: number, settings: DegradationSettings): Condition => ({
  ...before,
  recoverAt: at + settings.recoverEveryMillis,
  recoveredAt: at,
  recoveries: before.recoveries + 1
})

/** The level as of `now`. */
export const levelAt = (condition: Condition, now: number, settings: DegradationSettings): Level =>
  condition.checkedAt === undefined || now - condition.checkedAt > settings.staleAfterMillis ? "unknown" : condition.level

/**
 * The level of the whole: the worst of what is required; what is optional makes it degraded at most. Critical is worse than unknown: of one
 * it is certain that it does not work. Without any dependency: healthy.
 */
export const overall = (parts: ReadonlyArray<{ readonly level: Level; readonly importance: Importance }>): Level => {
  const some = (level: Level, importance: Importance) => parts.some((part) => part.level === level && part.importance === importance)
  if (some("critical", "required")) return "critical"
  if (some("unknown", "required")) return "unknown"
  const impaired = some("degraded", "required") || some("degraded", "optional") || some("critical", "optional")
  return impaired ? "degraded" : "healthy"
}

/** The ways to get an answer: as it should be, with less, without the dependency. */
export type Tier = "primary" | "degraded" | "fallback"

/**
 * In which order they are tried at a level. Of a dependency that is critical nobody waits for the primary first: it comes last, so that it is
 * tried before there is no answer at all.
 */
export const tiersAt = (level: Level): ReadonlyArray<Tier> =>
  level === "critical" ? ["degraded", "fallback", "primary"] : ["primary", "degraded", "fallback"]
