/** Money: integers at the edges, no float, no loss, no mixing of currencies. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Currency from "../../src/domain/Currency.ts"
import * as Money from "../../src/domain/Money.ts"

const code = (text: string) => Currency.CurrencyCode.make(text)
const money = (minor: bigint, currency = "EUR"): Money.Money => ({ currency: code(currency), minor })
const tagOf = <A, E extends { readonly _tag: string }>(result: Result.Result<A, E>): string =>
  Result.match(result, { onFailure: (error) => error._tag, onSuccess: () => "accepted" })

const decodeAmount = Schema.decodeUnknownResult(Money.AmountFromJson)
const decodePositive = Schema.decodeUnknownResult(Money.PositiveAmount)
const decodeJson = Schema.decodeUnknownResult(Money.MoneyJson)
const decodeStored = Schema.decodeUnknownResult(Money.Money)
const messageOf = <A>(result: Result.Result<A, Schema.SchemaError>): string =>
  Result.match(result, { onFailure: (error) => error.message, onSuccess: () => "accepted" })

const Minor = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -Money.maxMinor, maximum: Money.maxMinor }))
const Weight = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 0n, maximum: Money.maxMinor }))
const Weights = Schema.Array(Weight).check(Schema.isMinLength(1), Schema.isMaxLength(12))
const Exponent = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Money.maxExponent }))
const arbitrary = { runs: 300 }

describe("AmountFromJson", () => {
  it("takes integers within +-(2^53-1)", () => {
    for (const amount of [0, 1, -1, 4990, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]) {
      assert.deepStrictEqual(decodeAmount(amount), Result.succeed(BigInt(amount)))
    }
  })

  it("refuses everything else and says what it expects", () => {
    const json = [
      "49.90",
      "1e400",
      "-1e400",
      "9007199254740992",
      "-9007199254740992",
      "1e-7",
      "-0",
      '"4990"',
      "[4990]",
      "null",
      "true",
      "{}"
    ]
    const inputs = [...json.map((text): unknown => JSON.parse(text)), Number.NaN, 4990n, undefined]
    for (const input of inputs) {
      assert.include(messageOf(decodeAmount(input)), "expected an integer in minor units within +-(2^53-1), e.g. 4990 for EUR 49.90")
    }
  })

  it("does not encode what JSON would round", () => {
    const encode = Schema.encodeResult(Money.AmountFromJson)
    assert.deepStrictEqual(encode(Money.maxAmount), Result.succeed(Number.MAX_SAFE_INTEGER))
    assert.isTrue(Result.isFailure(encode(Money.maxAmount + 1n)))
  })

  it("is an integer in the JSON schema", () => {
    const schema = JSON.stringify(Schema.toJsonSchemaDocument(Money.MoneyJson))
    assert.include(schema, '"type":"integer"')
    assert.include(schema, '"EUR"')
  })
})

describe("PositiveAmount", () => {
  it("takes 1 to 2^53-1 only", () => {
    assert.deepStrictEqual(decodePositive(1), Result.succeed(1n))
    assert.deepStrictEqual(decodePositive(Number.MAX_SAFE_INTEGER), Result.succeed(Money.maxAmount))
    for (const input of [0, -0, -1, 0.5, "1", 2 ** 53, Number.NaN, Infinity]) {
      assert.include(messageOf(decodePositive(input)), "expected an integer in minor units from 1 to 2^53-1")
    }
    assert.isTrue(Result.isFailure(Schema.encodeResult(Money.PositiveAmount)(0n)))
  })
})

describe("MoneyJson", () => {
  it("decodes amount and currency and names the wrong one", () => {
    assert.deepStrictEqual(decodeJson({ amount: 4990, currency: "EUR" }), Result.succeed(money(4990n)))
    assert.match(messageOf(decodeJson({ amount: "4990", currency: "EUR" })), /integer in minor units[^]*"amount"/)
    assert.match(messageOf(decodeJson({ amount: 4990, currency: "eur" })), /must be written EUR[^]*"currency"/)
  })

  it.prop(
    "round trip within +-(2^53-1), refusal beyond",
    [Money.Money],
    ([value]) => {
      const encoded = Result.map(Schema.encodeResult(Money.MoneyJson)(value), (json) => decodeJson(JSON.parse(JSON.stringify(json))))
      const fits = value.minor <= Money.maxAmount && value.minor >= -Money.maxAmount
      if (fits) assert.deepStrictEqual(encoded, Result.succeed(Result.succeed(value)))
      else assert.isTrue(Result.isFailure(encoded))
    },
    { arbitrary }
  )

  it.prop("every safe integer comes back", [Schema.Int, Currency.CurrencyCode], ([integer, currency]) => {
    const json = { amount: integer === 0 ? 0 : integer, currency }
    assert.deepStrictEqual(Result.flatMap(decodeJson(json), Schema.encodeResult(Money.MoneyJson)), Result.succeed(json))
  })
})

describe("Money, as stored", () => {
  it("keeps the integer as a string", () => {
    assert.deepStrictEqual(Schema.encodeSync(Money.Money)(money(4990n)), { currency: "EUR", minor: "4990" })
  })

  it("takes the canonical spelling only, within +-10^18", () => {
    for (const minor of ["0", "-1", "1000000000000000000"]) assert.isTrue(Result.isSuccess(decodeStored({ currency: "EUR", minor })))
    const wrong = ["-0", "007", "+1", "1.0", "1e3", "", " 1", "0x10", "1000000000000000001", "-1000000000000000001", "9".repeat(40), 1, 1n]
    for (const minor of wrong) assert.isTrue(Result.isFailure(decodeStored({ currency: "EUR", minor })), String(minor))
  })

  it.prop(
    "round trip",
    [Money.Money],
    ([value]) => {
      const encoded = JSON.stringify(Schema.encodeSync(Money.Money)(value))
      assert.deepStrictEqual(decodeStored(JSON.parse(encoded)), Result.succeed(value))
    },
    { arbitrary }
  )
})

describe("arithmetic", () => {
  it("refuses two currencies everywhere", () => {
    const eur = money(1n)
    const usd = money(1n, "USD")
    const refusals = [
      Money.add(eur, usd),
      Money.subtract(eur, usd),
      Money.compare(eur, usd),
      Money.lessThan(eur, usd),
      Money.min(eur, usd),
      Money.sum(eur.currency, [eur, usd])
    ]
    for (const refused of refusals) {
      assert.deepStrictEqual(Result.getFailure<unknown, unknown>(refused), Result.getFailure(Result.fail(mismatch())))
    }
    assert.isFalse(Money.equals(eur, usd))
    assert.isFalse(Money.equals(money(0n), money(0n, "USD")))
    assert.strictEqual(mismatch().message, "amounts in EUR and USD cannot be combined")
  })

  it("refuses results beyond +-10^18", () => {
    assert.strictEqual(tagOf(Money.add(money(Money.maxMinor), money(1n))), "AmountOutOfRange")
    assert.strictEqual(tagOf(Money.subtract(money(-Money.maxMinor), money(1n))), "AmountOutOfRange")
    assert.strictEqual(tagOf(Money.make(money(Money.maxMinor + 1n))), "AmountOutOfRange")
    assert.strictEqual(tagOf(Money.sum(code("EUR"), [money(Money.maxMinor), money(1n)])), "AmountOutOfRange")
    assert.deepStrictEqual(Money.make(money(-Money.maxMinor)), Result.succeed(money(-Money.maxMinor)))
  })

  it("knows zero, sign and order", () => {
    assert.isTrue(Money.isZero(Money.zero(code("JPY"))))
    assert.isTrue(Money.isPositive(money(1n)) && !Money.isPositive(money(0n)) && !Money.isPositive(money(-1n)))
    assert.deepStrictEqual(Money.compare(money(1n), money(2n)), Result.succeed(-1 as const))
    assert.deepStrictEqual(Money.compare(money(2n), money(2n)), Result.succeed(0 as const))
    assert.deepStrictEqual(Money.compare(money(3n), money(2n)), Result.succeed(1 as const))
    assert.deepStrictEqual(Money.lessThan(money(2n), money(2n)), Result.succeed(false))
    assert.deepStrictEqual(Money.min(money(5n), money(-5n)), Result.succeed(money(-5n)))
    assert.deepStrictEqual(Money.sum(code("EUR"), []), Result.succeed(money(0n)))
    assert.deepStrictEqual(
      Money.sum(code("EUR"), [money(Money.maxMinor), money(5n), money(-7n)]),
      Result.succeed(money(Money.maxMinor - 2n))
    )
  })

  it.prop(
    "subtract undoes add",
    [Minor, Minor],
    ([left, right]) => {
      const there = Money.add(money(left), money(right))
      if (Result.isFailure(there)) return assert.isTrue(left + right > Money.maxMinor || left + right < -Money.maxMinor)
      assert.deepStrictEqual(Money.subtract(there.success, money(right)), Result.succeed(money(left)))
    },
    { arbitrary }
  )
})

const mismatch = () => new Money.CurrencyMismatch({ expected: "EUR", actual: "USD" })

const partsOf = (total: bigint, weights: ReadonlyArray<bigint>) =>
  Result.map(Money.allocate(money(total), weights), (parts) => parts.map((part) => part.minor))

describe("allocate", () => {
  it("gives what is left over to the largest remainders, the earlier first", () => {
    assert.deepStrictEqual(partsOf(100n, [1n, 1n, 1n]), Result.succeed([34n, 33n, 33n]))
    assert.deepStrictEqual(partsOf(10n, [5n, 3n, 1n]), Result.succeed([6n, 3n, 1n]))
    assert.deepStrictEqual(partsOf(5n, [3n, 7n]), Result.succeed([2n, 3n]))
    assert.deepStrictEqual(partsOf(-100n, [1n, 1n, 1n]), Result.succeed([-34n, -33n, -33n]))
    assert.deepStrictEqual(partsOf(1n, [0n, 1n, 0n, 1n]), Result.succeed([0n, 1n, 0n, 0n]))
    assert.deepStrictEqual(partsOf(0n, [2n, 1n]), Result.succeed([0n, 0n]))
  })

  it("refuses weights that mean nothing", () => {
    const reason = (weights: ReadonlyArray<bigint>) =>
      Result.match(Money.allocate(money(1n), weights), {
        onFailure: (error) => (error._tag === "AllocationRefused" ? error.reason : error._tag),
        onSuccess: () => "accepted"
      })
    assert.strictEqual(reason([]), "no_weights")
    assert.strictEqual(reason([0n, 0n]), "all_weights_zero")
    assert.strictEqual(reason([2n, -1n]), "negative_weight")
    assert.strictEqual(reason([Money.maxMinor + 1n]), "weight_too_large")
    assert.strictEqual(reason(Array.from({ length: Money.maxParts + 1 }, () => 1n)), "too_many_weights")
    assert.strictEqual(tagOf(Money.allocate(money(Money.maxMinor + 1n), [1n])), "AmountOutOfRange")
  })

  it.prop(
    "conserves the total, gives zero for zero, and is never a whole unit away from the exact share",
    [Minor, Weights],
    ([total, weights]) => {
      const weight = weights.reduce((left, right) => left + right, 0n)
      const result = partsOf(total, weights)
      if (weight === 0n) return assert.strictEqual(tagOf(Money.allocate(money(total), weights)), "AllocationRefused")
      assert.isTrue(Result.isSuccess(result))
      const parts = Result.getOrElse(result, () => [])
      assert.strictEqual(parts.length, weights.length)
      assert.strictEqual(
        parts.reduce((left, right) => left + right, 0n),
        total
      )
      for (const [index, part] of parts.entries()) {
        const error = part * weight - total * weights[index]!
        assert.isTrue(error < weight && error > -weight)
        if (weights[index] === 0n) assert.strictEqual(part, 0n)
      }
    },
    { arbitrary }
  )

  it.prop("is deterministic and mirrors the sign", [Minor, Weights], ([total, weights]) => {
    const mirrored = Result.map(partsOf(-total, weights), (parts) => parts.map((part) => -part))
    assert.deepStrictEqual(Result.getOrUndefined(mirrored), Result.getOrUndefined(partsOf(total, weights)))
  })
})

describe("format", () => {
  it("places the point by the currency's exponent", () => {
    const shown = [
      [money(4990n), "49.90 EUR"],
      [money(5n), "0.05 EUR"],
      [money(-5n), "-0.05 EUR"],
      [money(0n), "0.00 EUR"],
      [money(4990n, "JPY"), "4990 JPY"],
      [money(-1234n, "KWD"), "-1.234 KWD"],
      [money(1n, "BTC"), "0.00000001 BTC"],
      [money(Money.maxMinor, "ETH"), "1000000000.000000000 ETH"]
    ] as const
    for (const [value, expected] of shown) assert.strictEqual(Money.format(value), expected)
  })

  it("invents no exponent for a code forced into the type", () => {
    const forged: Money.Money = { currency: "XXX" as Currency.CurrencyCode, minor: 5n }
    assert.strictEqual(Money.format(forged), "5 minor units of XXX")
    assert.strictEqual(tagOf(Money.toExponent({ money: forged, exponent: 2 })), "ExponentRefused")
  })

  it.prop(
    "loses no digit",
    [Money.Money],
    ([value]) => assert.strictEqual(BigInt((Money.format(value).split(" ")[0] ?? "").replace(".", "")), value.minor),
    { arbitrary }
  )
})

const convert = (minor: bigint, currency: string, exponent: number) => Money.toExponent({ money: money(minor, currency), exponent })

describe("exponent conversion", () => {
  it("scales exactly", () => {
    assert.deepStrictEqual(convert(500n, "ISK", 2), Result.succeed(50_000n))
    assert.deepStrictEqual(convert(500n, "HUF", 0), Result.succeed(5n))
    assert.deepStrictEqual(convert(4990n, "EUR", 2), Result.succeed(4990n))
    assert.deepStrictEqual(convert(2_000_000_000n, "ETH", 18), Result.succeed(2n * 10n ** 18n))
  })

  it("refuses what would be rounded, exponents out of range and amounts out of range", () => {
    assert.strictEqual(tagOf(convert(501n, "HUF", 0)), "ExponentRefused")
    assert.strictEqual(tagOf(convert(1235n, "KWD", 2)), "ExponentRefused")
    for (const exponent of [-1, 19, 1.5, Number.NaN]) assert.strictEqual(tagOf(convert(1n, "EUR", exponent)), "ExponentRefused")
    assert.strictEqual(tagOf(Money.fromExponent({ currency: code("ETH"), minor: 1n, exponent: 18 })), "ExponentRefused")
    assert.strictEqual(tagOf(Money.fromExponent({ currency: code("EUR"), minor: Money.maxMinor, exponent: 0 })), "AmountOutOfRange")
    assert.strictEqual(tagOf(convert(Money.maxMinor + 1n, "EUR", 2)), "AmountOutOfRange")
  })

  it.prop(
    "comes back, or is refused as inexact",
    { value: Money.Money, exponent: Exponent },
    ({ exponent, value }) => {
      const there = Money.toExponent({ money: value, exponent })
      if (Result.isSuccess(there)) {
        assert.deepStrictEqual(Money.fromExponent({ currency: value.currency, minor: there.success, exponent }), Result.succeed(value))
      } else {
        const lost = Currency.exponent(value.currency) - exponent
        assert.isTrue(lost > 0 && value.minor % 10n ** BigInt(lost) !== 0n)
      }
    },
    { arbitrary }
  )
})
