/**
 * The sections of the demo, in the order in which they are shown.
 */
import type { Section } from "./Section.ts"
import * as Chaos from "./sections/Chaos.ts"
import * as Crash from "./sections/Crash.ts"
import * as Hooks from "./sections/Hooks.ts"
import * as Idempotency from "./sections/Idempotency.ts"
import * as Locking from "./sections/Locking.ts"
import * as Outage from "./sections/Outage.ts"
import * as RateLimits from "./sections/RateLimits.ts"
import * as Rates from "./sections/Rates.ts"
import * as Routing from "./sections/Routing.ts"

export const sections: ReadonlyArray<Section> = [
  Routing.section,
  Outage.section,
  Locking.section,
  Idempotency.section,
  Crash.section,
  Chaos.section,
  Hooks.section,
  RateLimits.section,
  Rates.section
]
