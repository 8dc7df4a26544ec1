/**
 * A crash while commits of several payments are written together. With AEGISPAY_LONG at every operation, otherwise at a part of them.
 */
import { describe } from "@effect/vitest"
import { crashEverywhere, isLong } from "./campaigns.ts"

const scenarios = [
  { seed: 18, together: true, what: "four payments at once" },
  { seed: 129, together: true, what: "four payments at once, and more faults" },
  { seed: 12, together: true, what: "five payments at once, most of their first commits in groups" }
] as const

describe("a crash at an operation", () => crashEverywhere(isLong ? scenarios : scenarios.slice(0, 2), isLong ? 1 : 40))
