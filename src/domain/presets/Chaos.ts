/**
 * Defaults of injected faults.
 */
import { preset } from "./Preset.ts"

/** Faults that are injected on purpose. */
export const chaos = {
  latencyMinMillis: preset(100, "ms", "required of the chaos gateway: latency of 100 to 5,000 ms"),
  latencyMaxMillis: preset(5_000, "ms", "required of the chaos gateway: latency of 100 to 5,000 ms"),
  hangMillis: preset(60_000, "ms", "twice what browsers and load balancers wait: whoever has a limit of its own gives up first"),
  poolWaitMillis: preset(2_000, "ms", "as long as a call waits for a place in the bulkhead of a gateway"),
  retryAfterMillis: preset(1_000, "ms", "what an adapter takes where a gateway wants a pause and does not say how long"),
  cascadeAfterMillis: preset(0, "ms", "the next gateway fails as soon as the first has"),
  cascadeForMillis: preset(10_000, "ms", "long enough for a breaker to open and too short for one to close again"),
  maxInjections: preset(10_000, "injections of a plan", "memory: as many are kept for an exact repetition")
} as const
