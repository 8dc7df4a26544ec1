/**
 * What every gateway adapter does, whatever PSP is behind it: one request is one outcome, a lost answer is `Unknown`, and the look-up or a
 * replay of the key leads to the truth without a second charge.
 *
 * The suite needs a PSP whose test tokens cause trouble, and its ledger: what was really done, by our reference. Each case is an effect in real
 * time with a PSP of its own, for any test framework:
 *
 * ```ts
 * for (const { run, skipped, title } of GatewayContract.cases(options)) {
 *   if (skipped === undefined) it(title, () => Effect.runPromise(run))
 *   else it.skip(`${title} (${skipped})`, () => undefined)
 * }
 * ```
 */
import * as Effect from "effect/Effect"
import { answersAtOnce } from "./AnswersAtOnce.ts"
import { answersLater, holds } from "./AnswersLater.ts"
import { type Add, bench, type Case, type ContractOptions } from "./Bench.ts"
import { clocks } from "./Clocks.ts"
import { keys } from "./Keys.ts"
import { lostAnswers } from "./LostAnswers.ts"
import { webhooks } from "./Webhooks.ts"

export type { Case, ContractOptions, GatewayUnderTest, LedgerEntry, Scenario } from "./Bench.ts"

/** Every case of the contract, in a fixed order. Those for which the PSP has no token are in it, skipped. */
export const cases = (options: ContractOptions): ReadonlyArray<Case> => {
  const all: Array<Case> = []
  const adder =
    (group: string, impossible?: string, processAheadMillis?: number): Add =>
    (title, scenario, body) => {
      const token = options.tokenFor(scenario)
      const { patienceMillis } = options
      const ahead = processAheadMillis === undefined ? {} : { processAheadMillis }
      all.push({
        title: `${group}: ${title}`,
        skipped: impossible ?? options.never?.(scenario) ?? (token === undefined ? "this gateway has no token for it" : undefined),
        run:
          token === undefined
            ? Effect.void
            : Effect.scoped(
                Effect.flatMap(options.make, (under) => Effect.flatMap(bench(under, { token, patienceMillis, ...ahead }), body)).pipe(
                  Effect.asVoid
                )
              )
      })
    }
  answersAtOnce(adder("what is answered at once"))
  answersLater(adder("what is answered later"), options)
  lostAnswers(adder("lost answers"), options)
  for (const minutes of [-15, 15]) {
    clocks(adder(`clocks, of a process ${minutes} minutes ahead`, undefined, minutes * 60_000))
  }
  holds(adder("holds", options.tellsHolds === true ? undefined : "this gateway cannot be asked what is left of an authorization"))
  keys(adder("keys"))
  webhooks(adder("webhooks", options.tellsByWebhook === true ? undefined : "this gateway sends none here"))
  return all
}
