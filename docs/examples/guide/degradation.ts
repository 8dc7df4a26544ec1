import * as Effect from "effect/Effect"
import { Degradation, Dependencies } from "../../../src/index.ts"

/** Delivery dates: of the carrier, else of yesterday, else a careful word. */
const dates = Degradation.run({
  dependency: "carrier",
  primary: Effect.fail("the carrier does not answer"),
  degraded: Effect.fail("nothing was kept"),
  fallback: Effect.succeed("within a week")
})

export const example = Effect.map(dates, ({ tier, value }) => ({ tier, value })).pipe(Effect.provide(Dependencies.layer))
