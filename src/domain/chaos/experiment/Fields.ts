/**
 * Values that experiments and their results are made of, with their bounds and what is said about a value outside of them.
 */
import * as Schema from "effect/Schema"
import { GatewayName } from "../../payment/Ids.ts"

/** `Finite` would say its own sentence; the checks that follow refuse NaN and Infinity. */
// @effect-diagnostics-next-line schemaNumber:off
const numeric = (message: string) => Schema.Number.annotate({ message })

export const integer = (minimum: number, maximum: number) => {
  const message = `expected an integer from ${minimum} to ${maximum}`
  return numeric(message).check(Schema.isInt({ message }), Schema.isBetween({ minimum, maximum }, { message }))
}

/** A number that need not be whole. */
export const between = (minimum: number, maximum: number) => {
  const message = `expected a number from ${minimum} to ${maximum}`
  return numeric(message).check(Schema.isFinite({ message }), Schema.isBetween({ minimum, maximum }, { message }))
}

/** A share of a whole. */
export const share = between(0, 1)

/** The longest experiment: a day of virtual time. */
export const maxDurationMillis = 86_400_000

/** A length of time in milliseconds. */
export const millis = (minimum = 0) => integer(minimum, maxDurationMillis)

/** The name of an experiment: what files and reports call it. */
export const Name = Schema.String.annotate({ message: "expected a name" }).check(
  Schema.isPattern(/^[a-z0-9][a-z0-9-]{0,63}$/u, { message: "expected a name of 1 to 64 characters a-z, 0-9 and -" })
)

/** A sentence or two for people. */
export const sentences = (maximum: number) =>
  Schema.String.check(Schema.isMaxLength(maximum, { message: `expected at most ${maximum} characters` }))

export const Gateway = GatewayName.annotate({ message: "expected a gateway name of 1 to 64 characters a-z, 0-9 and -" })

/** A seed: the same one gives the same experiment. */
export const Seed = integer(0, 0xffff_ffff)
