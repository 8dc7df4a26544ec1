/** Answers of a gigabyte: they are not read to their end, and say nothing. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { intent, newPaymentId, reference } from "../../support/payments.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const mebibyte = 1_048_576
/** What the two ends of a connection may hold beside what was read. */
const bufferedBytes = 16 * mebibyte

const payment = newPaymentId()
const sale = {
  ...intent({ payment }),
  details: {
    customerPresent: true,
    token: Token.make("pm_card_visa"),
    methodType: "card" as const,
    returnUrl: "https://shop.example/return"
  }
}

/** Answers everything but whose key it is with a gigabyte of JSON, as fast as it is read; counts what was written. */
const endless = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly written: () => number; readonly stop: () => void }>((resume) => {
    let written = 0
    const chunk = Buffer.alloc(mebibyte, "x")
    const pour = (response: ServerResponse, left: number): void => {
      if (left === 0) return void response.end('"}')
      if (response.destroyed) return
      written += chunk.length
      if (response.write(chunk)) setImmediate(pour, response, left - 1)
      else response.once("drain", () => pour(response, left - 1))
    }
    const server = createServer((request, response) => {
      request.resume()
      response.writeHead(200, { "content-type": "application/json" })
      if (request.url === "/v1/account") return void response.end(JSON.stringify({ object: "account", id: FakeStripe.accountId }))
      response.write('{"object":"payment_intent","padding":"')
      return pour(response, 1_024)
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const stop = () => {
        server.closeAllConnections()
        server.close()
      }
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, written: () => written, stop }))
    })
  }),
  ({ stop }) => Effect.sync(stop)
)

describe("an answer of a gigabyte", () => {
  it.live("to a charge: unknown", () =>
    Effect.gen(function* () {
      const { url, written } = yield* endless
      const gateway = yield* gatewayOf(accountOf(url))
      const outcome = yield* gateway.send({ payment, intent: sale })
      assert.deepInclude<object>(outcome, { _tag: "Unknown", reason: "unreadable" })
      assert.isBelow(written(), bufferedBytes)
    })
  )

  it.live("to a look-up: unknown, and no absence", () =>
    Effect.gen(function* () {
      const { url, written } = yield* endless
      const gateway = yield* gatewayOf(accountOf(url))
      const now = Date.now()
      const made = { since: now, until: now + 30_000, now }
      for (const gatewayReference of [undefined, reference("pi_1")]) {
        assert.strictEqual((yield* gateway.lookup({ payment, intent: sale, gatewayReference, made }))._tag, "Unknown")
      }
      assert.isBelow(written(), 2 * (bufferedBytes + 8 * mebibyte), "a list may have 8 MiB")
    })
  )
})
