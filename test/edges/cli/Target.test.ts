import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import * as Target from "../../../src/edges/cli/runtime/Target.ts"
import * as Config from "../../../src/edges/config/Config.ts"
import { TenantId } from "../../../src/domain/payment/Ids.ts"

const targetWith = (...merchants: ReadonlyArray<string>) => {
  const apiKeys = merchants.map((merchant, nth) => ({ merchant, key: `env:KEY_${nth}` }))
  const environment = Object.fromEntries(merchants.map((_, nth) => [`KEY_${nth}`, `0123456789abcdef-${nth}`]))
  const config = Config.decode({ input: { database: { dataDir: "." }, http: { apiKeys } }, environment, source: "shop.json" })
  return { config: Result.getOrThrow(config), source: "shop.json" }
}
const merchant = (name: string) => Option.some(TenantId.make(name))

describe("whose payments a command is about", () => {
  it.effect("the one that is named, where it has an API key", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Target.merchant(targetWith("shop", "kiosk"), merchant("kiosk")), "kiosk")
    })
  )

  it.effect("one that no API key belongs to is refused, with those there are: nobody could see its payments", () =>
    Effect.gen(function* () {
      const refused = yield* Effect.flip(Target.merchant(targetWith("shop", "kiosk", "shop"), merchant("shpo")))
      assert.deepInclude<object>(refused, {
        exitCode: 2,
        message: 'no API key of shop.json belongs to merchant "shpo"; its merchants are shop, kiosk'
      })
    })
  )

  it.effect("any that is named, where there are no API keys: then the command line is all there is", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Target.merchant(targetWith(), merchant("shpo")), "shpo")
    })
  )

  it.effect("the only one, where none is named; several or none have to be named", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Target.merchant(targetWith("shop", "shop"), Option.none()), "shop")
      for (const merchants of [["shop", "kiosk"], []]) {
        assert.match((yield* Effect.flip(Target.merchant(targetWith(...merchants), Option.none()))).message, /name one with --merchant/)
      }
    })
  )
})
