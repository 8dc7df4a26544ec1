/** The contract where clocks are wrong: nothing that was charged counts as never made. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Add, isTagged, isUnknown, succeeded } from "./Bench.ts"

const minute = 60_000

export const clocks = (add: Add): void => {
  for (const minutes of [-15, 0, 15]) {
    add(`a charge whose answer is lost is found, the database ${minutes} minutes ahead`, { on: "charge", what: "5xx_after" }, (on) =>
      Effect.gen(function* () {
        const one = on.charge()
        isUnknown(yield* on.send(one), "server_error")
        yield* visible(on.gateway.capabilities.operations.sale.lookupByReference?.lagMillis)
        succeeded(yield* on.lookupAhead(minutes * minute)(one))
        yield* on.moved(one, "charge")
      })
    )
  }

  for (const hours of [-3, 3]) {
    add(`never absent though it was charged, the database ${hours} hours ahead`, { on: "charge", what: "5xx_after" }, (on) =>
      Effect.gen(function* () {
        const one = on.charge()
        isUnknown(yield* on.send(one), "server_error")
        yield* visible(on.gateway.capabilities.operations.sale.lookupByReference?.lagMillis)
        const found = yield* on.lookupAhead(hours * 60 * minute)(one)
        if (found._tag === "Succeeded") succeeded(found)
        else isUnknown(found)
      })
    )
  }

  add("what was never sent is absent", { on: "charge", what: "success" }, (on) =>
    Effect.map(on.truth(on.charge()), (found) => isTagged(found, "Absent"))
  )
}

/** An answer is a few milliseconds older than what it tells of. */
const visible = (lagMillis = 0) => Effect.sleep(Duration.millis(lagMillis + 25))
