/**
 * The address a request is counted by.
 *
 * It is that of the connection, or, where that is a trusted proxy, the right-most address of `X-Forwarded-For` that is none: the last hop that
 * somebody trusted has seen. What stands further left was sent by the client and may be invented. An entry that is no address ends the
 * search, and the request is counted by the proxy's.
 *
 * An IPv6 address is counted by its /64: a single customer commonly holds one, and could use a new address for every request (RFC 6177).
 */
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { networkOf } from "../../config/Fields.ts"

/** Makes `remoteAddress` of a request the client's behind these proxies: addresses and networks, as the configuration has checked them. */
export const behind = (proxies: ReadonlyArray<string>) =>
  HttpMiddleware.xForwardedHeaders({ trustedProxies: proxies.flatMap((proxy) => networkOf(proxy) ?? []) })

/** Where there is no address: requests over a Unix socket, or none that can be told. */
const unknown = "unknown"

/** Bits of an IPv6 address that tell customers apart. */
const ipv6Prefix = 64

/** The address in the form it is counted by: at most 43 characters, one form for one client. */
export const of = (request: HttpServerRequest.HttpServerRequest): string =>
  Result.match(NetAddress.ipFromString(Option.getOrElse(request.remoteAddress, () => "")), {
    onFailure: () => unknown,
    onSuccess: (parsed) => {
      const address = NetAddress.toCanonical(parsed)
      return NetAddress.isIpv4Address(address)
        ? NetAddress.formatIp(address)
        : IpNetwork.format(IpNetwork.fromAddressUnsafe(address, ipv6Prefix))
    }
  })
