/**
 * UUIDv7 (RFC 9562) from `Clock` and `Random`, ascending within the process.
 *
 * 48 bits of milliseconds, 12 bits of a counter that starts at 0 with each millisecond (method 1 of section 6.2), 62 random
 * bits. When the counter is full or the clock stands behind the last id, the ids run ahead of the clock instead of going back.
 *
 * Gotcha: the randomness keeps processes apart; it is not secret. An id is no credential.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { Ids } from "../../services/Ids.ts"

/** 12 bits: three hexadecimal digits. */
const countersPerMilli = 0x1000
const bits12 = 0xfff
const bits24 = 2 ** 24
/** Every group of 12 bits as digits: an id is put together of seven such look-ups instead of numbers that are formatted and padded. */
const digits12 = Array.from({ length: countersPerMilli }, (_, value) => value.toString(16).padStart(3, "0"))
/** The highest two bits of the group after the counter say which variant of UUID it is. */
const variants = ["8", "9", "a", "b"] as const

/** Up to 24 bits as six digits. */
const digits24 = (value: number): string => `${digits12[value >>> 12]}${digits12[value & bits12]}`

/** Identifiers of this process. */
export const layer: Layer.Layer<Ids> = Layer.effect(
  Ids,
  Effect.sync(() => {
    let lastMillis = -1
    let counter = 0
    let prefix = ""

    const advance = (now: number): void => {
      counter += 1
      if (now <= lastMillis && counter < countersPerMilli) return
      lastMillis = now > lastMillis ? now : lastMillis + 1
      counter = 0
      const millis = lastMillis.toString(16).padStart(12, "0")
      prefix = `${millis.slice(0, 8)}-${millis.slice(8)}-7`
    }

    const next = (now: number, random: Random.Random): string => {
      advance(now)
      const variant = variants[Math.floor(random.nextDoubleUnsafe() * variants.length)] ?? variants[0]
      const middle = digits12[Math.floor(random.nextDoubleUnsafe() * countersPerMilli)]
      const last = random.nextDoubleUnsafe() * bits24
      const high = Math.floor(last)
      // Texts of less than 13 characters are joined at once, longer ones when they are read: the fewer of those, the better.
      const group = `-${variant}${middle}-`
      const node = `${digits24(high)}${digits24(Math.floor((last - high) * bits24))}`
      return `${prefix}${digits12[counter]}${group}${node}`
    }

    return Ids.of({
      uuids: (count) =>
        Effect.withFiber((fiber) => {
          const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
          const random = fiber.getRef(Random.Random)
          const uuids: Array<string> = []
          for (let made = 0; made < count; made++) uuids.push(next(now, random))
          return Effect.succeed(uuids)
        })
    })
  })
)
