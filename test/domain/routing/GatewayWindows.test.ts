/**
 * The windows of gateways and segments: at which levels a call counts, from which level an answer comes, and what is forgotten.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as GatewayWindow from "../../../src/domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../../src/domain/routing/GatewayWindows.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"
import * as Slot from "../../../src/domain/routing/Slot.ts"

const { minuteMillis } = GatewayWindow
const start = 1_700_000_000_000
const gateway = GatewayName.make("alpha")
const euro = CurrencyCode.make("EUR")
const dollar = CurrencyCode.make("USD")
const german: Segment.Segment = { method: "card", currency: euro, country: "DE" }
const french: Segment.Segment = { method: "card", currency: euro, country: "FR" }
const minimumSamples = 20

const charge = (overrides: Partial<GatewayWindows.GatewaySample> = {}): GatewayWindows.GatewaySample => ({
  gateway,
  kind: "sale",
  verdict: "healthy",
  durationMillis: 100,
  ...overrides
})

const record = (windows: GatewayWindows.GatewayWindows, times: number, overrides: Partial<GatewayWindows.GatewaySample>, now = start) => {
  for (let call = 0; call < times; call++) GatewayWindows.record(windows, charge(overrides), now)
}

const stats = (windows: GatewayWindows.GatewayWindows, segment?: Segment.Segment, now = start) =>
  GatewayWindows.statsOf(windows, gateway, { segment: segment === undefined ? 0 : Segment.code(segment), minimumSamples }, now)

describe("GatewayWindows", () => {
  it("an answer comes from the narrowest level with enough calls: full, without country, without currency, gateway", () => {
    const windows = GatewayWindows.make()
    const levels = () =>
      [german, french, { ...german, currency: dollar }, { ...german, method: "wallet" as const }].map((segment) => {
        const { p50Millis, samples, segmentUsed } = stats(windows, segment)
        return [segmentUsed, samples, Math.round(p50Millis / 10) * 10]
      })
    record(windows, minimumSamples - 1, { segment: german })
    const few = ["gateway", minimumSamples - 1, 100]
    assert.deepStrictEqual(levels(), [few, few, few, few])
    record(windows, 1, { segment: german })
    assert.deepStrictEqual(levels(), [
      ["full", 20, 100],
      ["method_currency", 20, 100],
      ["method", 20, 100],
      ["gateway", 20, 100]
    ])
    record(windows, 60, { segment: french, durationMillis: 300 })
    assert.deepStrictEqual(levels(), [
      ["full", 20, 100],
      ["full", 60, 300],
      ["method", 80, 300],
      ["gateway", 80, 300]
    ])
  })

  it("without a country there is no full level; without a segment the gateway is asked", () => {
    const windows = GatewayWindows.make()
    record(windows, 30, { segment: { method: "card", currency: euro } })
    assert.strictEqual(stats(windows, { method: "card", currency: euro }).segmentUsed, "method_currency")
    assert.strictEqual(stats(windows).segmentUsed, "gateway")
    assert.strictEqual(stats(windows).samples, 30)
    assert.strictEqual(stats(windows, german).samples, 30)
  })

  it("segments count charges only; the gateway counts everything but has no approvals of what is no charge", () => {
    const windows = GatewayWindows.make()
    record(windows, 25, { segment: german, approval: "approved" })
    record(windows, 5, { segment: german, approval: "declined" })
    record(windows, 40, { kind: "refund", segment: german, approval: "approved", verdict: "failed", durationMillis: 5_000 })
    const { approvalRate, approved, consecutiveFailures, declined, samples, segmentUsed, successRate } = stats(windows, german)
    assert.deepStrictEqual(
      { approvalRate, approved, declined, samples, segmentUsed, successRate },
      {
        approvalRate: 25 / 30,
        approved: 25,
        declined: 5,
        samples: 30,
        segmentUsed: "full",
        successRate: 1
      }
    )
    assert.strictEqual(consecutiveFailures, 40, "the run of failures is the whole gateway's")
    const whole = stats(windows)
    assert.deepStrictEqual([whole.samples, whole.approved, whole.declined, whole.successRate], [70, 25, 5, 30 / 70])
    assert.strictEqual(GatewayWindows.healthOf(windows, gateway, start).samples, 70)
  })

  it("costs are means in minor units of the segment's currency, from the narrowest segment with enough of them", () => {
    const windows = GatewayWindows.make()
    record(windows, 5, { segment: german, cost: { currency: euro, minor: 30.5 } })
    record(windows, 15, { segment: french, cost: { currency: euro, minor: 10.5 } })
    record(windows, 10, { segment: { ...german, currency: dollar }, cost: { currency: dollar, minor: 99 } })
    assert.strictEqual(stats(windows, german).meanCostMinor, 15.5, "of all charges in euro: German ones are too few")
    record(windows, 20, { segment: german, cost: { currency: euro, minor: 30.5 } })
    assert.strictEqual(stats(windows, german).meanCostMinor, 30.5)
    assert.strictEqual(stats(windows, { ...german, currency: dollar }).meanCostMinor, 99)
    assert.isUndefined(stats(windows, { ...german, currency: CurrencyCode.make("JPY") }).meanCostMinor)
    assert.isUndefined(stats(windows).meanCostMinor, "no currency was asked for")
    const costs = GatewayWindows.costsOf(windows, gateway, start).map(({ currency, meanMinor, samples }) => [currency, samples, meanMinor])
    assert.deepStrictEqual(costs, [
      [euro, 40, (25 * 30.5 + 15 * 10.5) / 40],
      [dollar, 10, 99]
    ])
  })

  it("a cost in another currency than the segment's counts for that currency only", () => {
    const windows = GatewayWindows.make()
    record(windows, 30, { segment: german, cost: { currency: dollar, minor: 25 } })
    assert.isUndefined(stats(windows, german).meanCostMinor)
    assert.strictEqual(stats(windows, { ...german, currency: dollar }).meanCostMinor, 25)
    record(windows, 30, { segment: german, cost: { currency: euro, minor: 7 } })
    assert.strictEqual(stats(windows, german).meanCostMinor, 7)
  })

  it("of a gateway that is not known: no samples, rates 1", () => {
    assert.deepStrictEqual(stats(GatewayWindows.make(), german), {
      gateway,
      segmentUsed: "gateway",
      samples: 0,
      successRate: 1,
      approved: 0,
      declined: 0,
      approvalRate: 1,
      p50Millis: 0,
      p95Millis: 0,
      p99Millis: 0,
      meanCostMinor: undefined,
      consecutiveFailures: 0,
      lastFailureAt: undefined
    })
  })

  it("calls of the past count at their own time, those outside of the hour do not, and no run of failures comes of them", () => {
    const windows = GatewayWindows.make()
    record(windows, 1, { segment: german })
    const past = [10, 50, 70].map((minutes) => ({ ...charge({ segment: german, verdict: "failed" }), at: start - minutes * minuteMillis }))
    GatewayWindows.addAll(windows, GatewayWindows.ofPast(past, start), start)
    const { consecutiveFailures, lastFailureAt, samples } = stats(windows)
    assert.deepStrictEqual(
      { consecutiveFailures, lastFailureAt, samples },
      {
        consecutiveFailures: 0,
        lastFailureAt: start - 10 * minuteMillis,
        samples: 3
      }
    )
    const oldest = GatewayWindows.oldestAt(windows, start)
    assert.strictEqual(oldest, GatewayWindow.minuteOf(start - 50 * minuteMillis) * minuteMillis)
    assert.isUndefined(GatewayWindows.oldestAt(GatewayWindows.make(), start))
    assert.strictEqual(stats(windows, undefined, start + 15 * minuteMillis).samples, 2)
  })

  it("remembers a bounded number of gateways and forgets the one idle for longest, however often it is asked about", () => {
    const windows = GatewayWindows.make()
    const name = (index: number) => GatewayName.make(`gateway-${index}`)
    for (let index = 0; index <= GatewayWindows.maxGateways; index++) {
      const now = index === 0 ? start + 30 * minuteMillis : start + Math.floor(index / 10) * minuteMillis
      GatewayWindows.record(windows, charge({ gateway: name(index), segment: german }), now)
      GatewayWindows.healthOf(windows, name(1), start + 40 * minuteMillis)
    }
    assert.strictEqual(windows.byName.size, GatewayWindows.maxGateways)
    assert.isTrue(windows.byName.has(name(0)))
    assert.isFalse(windows.byName.has(name(1)))
    assert.strictEqual(
      windows.segmentCount,
      [...windows.byName.values()].reduce((sum, { segments }) => sum + segments.size, 0)
    )
  })

  it("remembers a bounded number of segments; the idlest fall back to a broader level", () => {
    const windows = GatewayWindows.make()
    const country = (index: number) => String.fromCharCode(65 + Math.floor(index / 26), 65 + (index % 26))
    const segment = (index: number): Segment.Segment => ({
      method: (["card", "wallet", "crypto", "other"] as const)[Math.floor(index / 676)] ?? "card",
      currency: euro,
      country: country(index % 676)
    })
    record(windows, minimumSamples, { segment: german })
    for (let index = 0; index < 2_500; index++) {
      const now = start + minuteMillis + index
      GatewayWindows.record(windows, charge({ segment: segment(index) }), now)
      assert.isAtMost(windows.segmentCount, GatewayWindows.maxSegments)
    }
    assert.isAbove(windows.segmentCount, GatewayWindows.maxSegments - 256)
    assert.strictEqual(windows.segmentCount, [...GatewayWindows.all(windows)].length - 1)
    const newest = GatewayWindows.existing(windows, gateway, Segment.code(segment(2_499)))
    assert.isDefined(newest)
    assert.isUndefined(GatewayWindows.existing(windows, gateway, Segment.code(segment(1))))
    assert.strictEqual(stats(windows, segment(1), start + minuteMillis).segmentUsed, "method_currency")
    assert.strictEqual(stats(windows).samples, 2_520, "the gateway has counted them all")
  })

  const countries = [undefined, "DE", "FR"]
  /** What happens to the windows, to which segment, and how much later: a clock may step back. */
  const Step = Schema.Struct({
    change: Schema.Literals(["call", "slot", "nothing"]),
    country: Schema.Literals([0, 1, 2]),
    calls: Schema.Literals([1, 5, 20]),
    afterMinutes: Schema.Literals([0, 0.3, 1, 5, 61, -1, -70])
  })

  it.prop("an answer that was kept is the one that is made anew", { steps: Schema.Array(Step) }, ({ steps }) => {
    const windows = GatewayWindows.make()
    let now = start
    for (const { afterMinutes, calls, change, country } of steps) {
      now += afterMinutes * minuteMillis
      const asked = { ...german, country: countries[country] }
      if (change === "call")
        record(windows, calls, { segment: asked, verdict: calls === 1 ? "failed" : "healthy", durationMillis: calls }, now)
      if (change === "slot") {
        const counts = { ...Slot.nothing(GatewayWindow.minuteOf(now)), healthy: calls, bins: [100], times: [calls] }
        GatewayWindow.addSlot(GatewayWindows.windowOf(windows, gateway, Segment.code(asked)), counts, now)
      }
      for (const segment of [0, ...countries.map((country) => Segment.code({ ...german, country }))]) {
        for (const least of [minimumSamples, 1, minimumSamples]) {
          const question = { segment, minimumSamples: least }
          const kept = GatewayWindows.statsOf(windows, gateway, { ...question, cost: false }, now)
          const anew = GatewayWindows.statsOf(windows, gateway, question, now)
          assert.deepStrictEqual({ ...kept, meanCostMinor: anew.meanCostMinor }, anew)
        }
      }
    }
  })

  it("an answer is kept while nothing is counted and no minute ends; an unknown gateway is answered by its own name", () => {
    const windows = GatewayWindows.make()
    const ask = (now = start, of = gateway) =>
      GatewayWindows.statsOf(windows, of, { segment: Segment.code(german), minimumSamples, cost: false }, now)
    record(windows, minimumSamples, { segment: german })
    const first = ask()
    assert.strictEqual(ask(), first)
    record(windows, 1, { segment: french })
    assert.deepStrictEqual([ask() === first, ask()], [false, first])
    assert.notStrictEqual(ask(start + minuteMillis), ask())
    const others = [GatewayName.make("beta"), GatewayName.make("gamma")]
    assert.deepStrictEqual(
      others.map((other) => ask(start, other).gateway),
      others
    )
  })
})
