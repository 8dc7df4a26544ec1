/**
 * Fields of the configuration file: each says what it expects in its own words.
 */
import * as Schema from "effect/Schema"

/** `Finite` would say its own sentence; the checks that follow refuse NaN and Infinity. */
// @effect-diagnostics-next-line schemaNumber:off
export const number = (message: string) => Schema.Number.annotate({ message })

export const integer = (minimum: number, maximum: number) => {
  const message = `expected an integer from ${minimum} to ${maximum}`
  return number(message).check(Schema.isInt({ message }), Schema.isBetween({ minimum, maximum }, { message }))
}

/** A number that need not be whole. */
export const between = (minimum: number, maximum: number) => {
  const message = `expected a number from ${minimum} to ${maximum}`
  return number(message).check(Schema.isBetween({ minimum, maximum }, { message }))
}

export const boolean = Schema.Boolean.annotate({ message: "expected true or false" })
