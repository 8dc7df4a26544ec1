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

/** 12 bits. */
const countersPerMilli = 0x1000
const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0")
/** Up to 48 random bits as hexadecimal digits. */
const randomHex = (random: Random.Random, digits: number) => hex(Math.floor(random.nextDoubleUnsafe() * 16 ** digits), digits)

/** Identifiers of this process. */
export const layer: Layer.Layer<Ids> = Layer.effect(
  Ids,
  Effect.sync(() => {
    let lastMillis = -1
    let counter = 0

    const next = (now: number, random: Random.Random): string => {
      counter += 1
      if (now > lastMillis || counter === countersPerMilli) {
        lastMillis = now > lastMillis ? now : lastMillis + 1
        counter = 0
      }
      const millis = hex(lastMillis, 12)
      const variant = hex(0x8 + Math.floor(random.nextDoubleUnsafe() * 4), 1)
      return `${millis.slice(0, 8)}-${millis.slice(8)}-7${hex(counter, 3)}-${variant}${randomHex(random, 3)}-${randomHex(random, 12)}`
    }

    return Ids.of({
      uuids: Effect.fnUntraced(function* (count) {
        const now = yield* Clock.currentTimeMillis
        const random = yield* Random.Random
        return Array.from({ length: count }, () => next(now, random))
      })
    })
  })
)
