/**
 * Flags and arguments that several commands have, with their ranges.
 */
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { GatewayName, GatewayReference, IdempotencyKey, PaymentId, TenantId } from "../../domain/payment/Ids.ts"

const maxAmount = BigInt(Number.MAX_SAFE_INTEGER)

/** A positive integer of minor units. */
export const amount = (description: string): Flag.Flag<bigint> =>
  Flag.String("amount").pipe(
    Flag.withMetavar("MINOR_UNITS"),
    Flag.withDescription(description),
    Flag.filterMap(
      (text) => {
        const minor = /^[0-9]{1,16}$/.test(text) ? BigInt(text) : 0n
        return minor > 0n && minor <= maxAmount ? Option.some(minor) : Option.none()
      },
      () => "a positive integer of minor units, such as 4990 for 49.90 EUR"
    )
  )

/** A duration as people write it: `30s`, `5m`, `2h`, `1d`, `500ms`, `0`. */
export const duration = (name: string): Flag.Flag<Duration.Duration> =>
  Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.filterMap(
      (text) => Option.fromUndefinedOr(parseDuration(text)),
      () => "a duration such as 500ms, 30s, 5m, 2h, 1d or 0"
    )
  )

/** One that is neither shorter nor longer, both written as people do. */
export const durationBetween = (name: string, shortest: string, longest: string): Flag.Flag<Duration.Duration> => {
  const [minimum, maximum] = [shortest, longest].map(parseDuration)
  return Flag.String(name).pipe(
    Flag.withMetavar("DURATION"),
    Flag.filterMap(
      (text) =>
        Option.filter(
          Option.fromUndefinedOr(parseDuration(text)),
          Duration.between({ minimum: minimum ?? Duration.zero, maximum: maximum ?? Duration.infinity })
        ),
      () => `a duration from ${shortest} to ${longest}, such as 30s or 5m`
    )
  )
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const parseDuration = (text: string): Duration.Duration | undefined => {
  if (text === "0") return Duration.zero
  const found = /^([0-9]{1,9}) ?(ms|s|m|h|d)$/.exec(text)
  return found === null ? undefined : Duration.millis(Number(found[1]) * (units[found[2] ?? ""] ?? 1))
}

export const paymentId = Argument.String("id").pipe(
  Argument.withDescription("The payment: pay_ and 36 hexadecimal digits"),
  Argument.filterMap(Schema.decodeUnknownOption(PaymentId), () => "pay_ and 36 hexadecimal digits")
)

/** A gateway's own id of a webhook. */
export const eventId = Argument.String("event").pipe(
  Argument.withDescription("The gateway's id of the event"),
  Argument.filter(
    (text) => text.length >= 1 && text.length <= 255,
    () => "1 to 255 characters"
  )
)

/** How many dead letters are shown. */
export const pageLimit = (maximum: number): Flag.Flag<number> =>
  integer("limit", 1, maximum).pipe(Flag.withDescription(`At most this many (1 to ${maximum})`), Flag.withDefault(50))

const merchantFlag = (description: string) =>
  Flag.String("merchant").pipe(
    Flag.withMetavar("MERCHANT"),
    Flag.withDescription(description),
    Flag.filterMap(Schema.decodeUnknownOption(TenantId), () => "1 to 64 characters of A-Z a-z 0-9 _ -"),
    Flag.optional
  )

/** Who asks for something. */
export const merchant = merchantFlag("Whose payment; needed where the configuration has several merchants")

/** Whose payment it has to be, where that is known. */
export const owner = merchantFlag("Whose payment it has to be (default: anyone's)")

export const key = Flag.String("key").pipe(
  Flag.withMetavar("KEY"),
  Flag.withDescription("Idempotency key: the same key never does it twice (default: a new one, which is printed)"),
  Flag.filterMap(Schema.decodeUnknownOption(IdempotencyKey), () => "1 to 255 visible ASCII characters without blanks"),
  Flag.optional
)

/** A gateway's own id of an object. */
export const reference = Flag.String("reference").pipe(
  Flag.withMetavar("ID"),
  Flag.filterMap(Schema.decodeUnknownOption(GatewayReference), () => "1 to 255 characters")
)

/** The name of a configured gateway. */
export const gateway = Flag.String("gateway").pipe(
  Flag.withMetavar("NAME"),
  Flag.filterMap(Schema.decodeUnknownOption(GatewayName), () => "the name of a configured gateway: 1 to 64 characters of a-z 0-9 -")
)

/** A moment in ISO 8601: a date (midnight UTC), or a time with `Z` or an offset. As epoch milliseconds. */
export const time = (name: string): Flag.Flag<number> =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.filterMap(
      (text) => (isoTime.test(text) ? Option.map(DateTime.make(text), DateTime.toEpochMillis) : Option.none()),
      () => "a time in ISO 8601, such as 2026-03-01 or 2026-03-01T12:00:00Z"
    )
  )

const isoTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/

/** An integer within a range. */
export const integer = (name: string, minimum: number, maximum: number): Flag.Flag<number> =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (value) => value >= minimum && value <= maximum,
      () => `an integer from ${minimum} to ${maximum}`
    )
  )
