/**
 * Named experiments about gateways that fail.
 */
import { type Definition, gateways, lively, steadyState } from "./Setting.ts"

/** Three in ten calls fail in one way or another, four in ten of the others are slow: everywhere, all the time. */
const resilience: Definition = {
  name: "resilience",
  description:
    "Every gateway fails in three of ten calls and is slow in four of ten others. Retries and failover keep payments going, and recovery finds out what became of those whose answer was lost.",
  durationMillis: 300_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [
      { name: "network", target: "gateway", when: { type: "random", rate: 0.12 }, inject: { type: "network" } },
      {
        name: "unavailable",
        target: "gateway",
        when: { type: "random", rate: 0.08 },
        inject: { type: "server_error", status: 503, executed: false }
      },
      { name: "rate limit", target: "gateway", when: { type: "random", rate: 0.06 }, inject: { type: "rate_limited" } },
      { name: "answer lost", target: "gateway", when: { type: "random", rate: 0.04 }, inject: { type: "response_lost" } },
      { name: "timeout", target: "gateway", when: { type: "random", rate: 0.03 }, inject: { type: "timeout", executed: true } },
      {
        name: "slow",
        target: "gateway",
        when: { type: "random", rate: 0.4 },
        inject: { type: "latency", minMillis: 100, maxMillis: 2_000 }
      }
    ]
  },
  steadyState,
  criteria: { minSuccessRate: 0.8, minFinalSuccessRate: 0.95, maxP95LatencyMillis: 10_000, minInjections: 300 }
}

/** One gateway is gone. */
const gatewayOutage: Definition = {
  name: "gateway-outage",
  description:
    "The best gateway cannot be reached for five minutes. Its circuit breaker opens after a few calls, and every payment goes to the others at once.",
  durationMillis: 300_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [{ name: "outage", target: "gateway", gateways: ["gateway-a"], when: { type: "random", rate: 1 }, inject: { type: "network" } }]
  },
  steadyState,
  criteria: { minSuccessRate: 0.99, maxP95LatencyMillis: 1_500, minBreakerOpens: 1, maxBreakerOpens: 100, minInjections: 5 }
}

/** One gateway is slow and a little unreliable, which hurts longer than an outage. */
const brownOut: Definition = {
  name: "brown-out",
  description:
    "The best gateway answers, but takes two to eight seconds and fails in one of ten calls. Routing measures it and sends payments elsewhere, and slow calls count in its circuit breaker, so that customers do not wait for it.",
  durationMillis: 300_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [
      {
        name: "errors",
        target: "gateway",
        gateways: ["gateway-a"],
        when: { type: "random", rate: 0.1 },
        inject: { type: "server_error", status: 503, executed: false }
      },
      {
        name: "slow",
        target: "gateway",
        gateways: ["gateway-a"],
        when: { type: "random", rate: 1 },
        inject: { type: "latency", minMillis: 2_000, maxMillis: 8_000 }
      }
    ]
  },
  steadyState,
  criteria: { minSuccessRate: 0.98, minFinalSuccessRate: 0.99, maxAverageLatencyMillis: 1_000, minInjections: 5 }
}

/** The load that one gateway drops takes the next one down. */
const cascadingFailure: Definition = {
  name: "cascading-failure",
  description:
    "The best gateway goes down, and whenever it has failed the second one fails as well for a while. The third one carries the load; breakers keep the first two from being asked again and again.",
  durationMillis: 300_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [
      {
        name: "first failure",
        target: "gateway",
        gateways: ["gateway-a"],
        when: { type: "random", rate: 1 },
        inject: { type: "server_error", status: 503, executed: false }
      }
    ],
    cascades: [
      {
        from: "gateway-a",
        to: ["gateway-b"],
        afterInjections: 3,
        afterMillis: 1_000,
        forMillis: 60_000,
        rate: 0.9,
        inject: { type: "network" }
      }
    ]
  },
  steadyState,
  criteria: { minSuccessRate: 0.95, minFinalSuccessRate: 0.99, minBreakerOpens: 2, minInjections: 10 }
}

/**
 * One gateway comes and goes, more slowly than its breaker: open for 60 s, and half-open until three probes, of which one is due every 60 s,
 * have succeeded. Were it gone whenever it is probed, nothing would tell this from an outage; and routing by score remembers a failure for
 * longer than a few minutes, so the order is fixed and nothing but the breaker keeps payments away.
 */
const flappingGateway: Definition = {
  name: "flapping-gateway",
  description:
    "The best gateway, always asked first, is gone for 40 seconds every five minutes. Its breaker opens each time, lets a few calls through to see, and closes when they succeed: few payments meet the gateway while it is gone, and they return to it when it is back.",
  durationMillis: 700_000,
  gateways,
  load: lively,
  chaos: {
    seed: 1,
    rules: [
      {
        name: "flapping",
        target: "gateway",
        gateways: ["gateway-a"],
        when: { type: "burst", everyMillis: 300_000, forMillis: 40_000 },
        inject: { type: "network" }
      }
    ]
  },
  settings: { routing: { policy: "fixed", order: ["gateway-a", "gateway-b", "gateway-c"] } },
  steadyState,
  criteria: { minSuccessRate: 0.99, maxP95LatencyMillis: 1_500, minBreakerOpens: 3, maxBreakerOpens: 20, minInjections: 12 }
}

/** Money moves, and nobody is told. */
const lostResponses: Definition = {
  name: "lost-responses",
  description:
    "One answer in five of every gateway is lost after the request took effect. Nobody is charged twice: what is in doubt is asked for, never sent to another gateway, and comes to the end that it really had.",
  durationMillis: 300_000,
  gateways,
  load: { ...lively, mix: { charge: 60, authorizeAndCapture: 20, refund: 10, duplicate: 5, cancel: 5 } },
  chaos: {
    seed: 1,
    rules: [
      {
        name: "lost",
        target: "gateway",
        operations: ["authorize", "sale", "capture", "void", "refund"],
        when: { type: "random", rate: 0.2 },
        inject: { type: "response_lost" }
      }
    ]
  },
  steadyState,
  criteria: { minSuccessRate: 0.95, minFinalSuccessRate: 0.99, minInjections: 100 }
}

export const aboutGateways = [resilience, gatewayOutage, brownOut, cascadingFailure, flappingGateway, lostResponses]
