/**
 * Fields of the configuration file: each says what it expects in its own words.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
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

/** The network of a text such as `10.0.0.0/8` or `fd00::/8`; an address alone is a network of one. */
export const networkOf = (text: string): IpNetwork.IpNetwork | undefined => {
  const address = Result.getOrUndefined(NetAddress.ipFromString(text))
  return address === undefined
    ? Result.getOrUndefined(IpNetwork.fromString(text))
    : Result.getOrUndefined(IpNetwork.fromAddress(address, NetAddress.isIpv4Address(address) ? 32 : 128))
}

const networkMessage = "expected an address or a network, such as 10.0.0.7 or 10.0.0.0/8"

export const network = Schema.String.annotate({ message: networkMessage }).check(
  Schema.makeFilter((text) => networkOf(text) !== undefined || networkMessage)
)
