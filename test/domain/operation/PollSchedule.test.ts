/** The moments of asking again. */
import { assert, describe, it } from "@effect/vitest"
import { isDue, type PollSchedule, questionsBy } from "../../../src/domain/operation/PollSchedule.ts"

const schedule: PollSchedule = { firstMillis: 30_000, share: 0.1, capMillis: 3_600_000 }

/** One by one, as the definition says. */
const momentsUntil = ({ capMillis, firstMillis, share }: PollSchedule, age: number): ReadonlyArray<number> => {
  const moments: Array<number> = []
  for (let next = firstMillis; next <= age; next += Math.min(Math.max(Math.floor(next * share), firstMillis), capMillis)) moments.push(next)
  return moments
}

describe("the schedule of questions", () => {
  it("counts what the definition counts, for every kind of schedule", () => {
    const schedules: ReadonlyArray<PollSchedule> = [
      schedule,
      { firstMillis: 1_000, share: 1, capMillis: 60_000 },
      { firstMillis: 500, share: 0.25, capMillis: 500 },
      { firstMillis: 7, share: 0.33, capMillis: 1_000 }
    ]
    for (const each of schedules) {
      for (const age of [0, 1, each.firstMillis - 1, each.firstMillis, 59_999, 60_000, 299_999, 300_000, 330_000, 1_000_000, 36_000_000]) {
        assert.strictEqual(questionsBy(each, age), momentsUntil(each, age).length, `${each.share} at ${age}`)
      }
    }
  })

  it("asks every 30 s for five minutes, then every tenth of the age, at most every hour", () => {
    const moments = momentsUntil(schedule, 3 * 86_400_000)
    assert.deepStrictEqual(moments.slice(0, 4), [30_000, 60_000, 90_000, 120_000])
    const waits = moments.map((moment, index) => moment - (moments[index - 1] ?? 0))
    for (const [index, wait] of waits.entries()) {
      if (index > 0) assert.isAtLeast(wait, waits[index - 1]!, "waits never shrink")
      assert.isAtMost(wait, 3_600_000)
    }
    assert.strictEqual(waits.at(-1), 3_600_000)
  })

  it("never falls as the age grows, and years cost as little as minutes", () => {
    let before = 0
    for (let age = 0; age < 50_000_000; age += 10_007) {
      const count = questionsBy(schedule, age)
      assert.isAtLeast(count, before)
      before = count
    }
    assert.isAbove(questionsBy(schedule, 10 * 365 * 86_400_000), 80_000)
  })

  it("rounds of any length ask once for each moment that has come, and no round asks twice", () => {
    const openedAt = 1_700_000_000_000
    for (const length of [1_000, 30_000, 45_000, 600_000]) {
      let asked = 0
      for (let now = openedAt + length; now < openedAt + 7_200_000; now += length) {
        if (isDue(schedule, { openedAt, askedAt: now - length, now })) asked++
      }
      const moments = momentsUntil(schedule, 7_200_000 - length)
      const rounds = new Set(moments.map((moment) => Math.ceil(moment / length)))
      assert.isAtMost(Math.abs(asked - rounds.size), 1, `rounds of ${length}`)
    }
  })

  it("whoever asks less often than moments come asks each time", () => {
    const openedAt = 1_700_000_000_000
    assert.isFalse(isDue(schedule, { openedAt, askedAt: openedAt, now: openedAt + schedule.firstMillis - 1 }))
    assert.isTrue(isDue(schedule, { openedAt, askedAt: openedAt, now: openedAt + schedule.firstMillis }))
    assert.isTrue(isDue(schedule, { openedAt, askedAt: openedAt + 60_000, now: openedAt + 86_400_000 }))
  })
})
