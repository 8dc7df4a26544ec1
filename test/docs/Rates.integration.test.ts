/**
 * docs/rates.md: its program runs against sources that answer and sources that do not, and is printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { price, rates } from "../../docs/examples/rates.ts"
import * as Money from "../../src/domain/Money.ts"
import * as Quote from "../../src/domain/rates/Quote.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/rates.md")

const source = (status: number, body: string) =>
  Effect.acquireRelease(
    Effect.callback<http.Server>((resume) => {
      const server = http.createServer((_, response) => void response.writeHead(status).end(body))
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close().closeAllConnections())
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/latest`))

describe("docs/rates.md", () => {
  it.live("its example takes the first source that answers, and says by which quote", () =>
    Effect.gen(function* () {
      const urls = [yield* source(404, ""), yield* source(200, '{"base":"USD","rates":{"EUR":0.8}}')]
      const { charged, metadata, tier } = yield* Effect.provide(price, rates(urls))
      assert.deepStrictEqual({ charged, tier }, { charged: "62.38 USD", tier: "primary" })
      assert.deepInclude(metadata, { fx_rate: "5/4", fx_amount: "4990 EUR", fx_source: "rates-1" })
      assert.strictEqual(Money.format(Quote.fromMetadata(metadata)!.exchanged), "49.90 EUR")
    })
  )

  it.live("where none does it charges by the configured rate", () =>
    Effect.gen(function* () {
      const { charged, tier } = yield* Effect.provide(price, rates([yield* source(404, "")]))
      assert.deepStrictEqual({ charged, tier }, { charged: "62.38 USD", tier: "conservative" })
    })
  )

  it("prints the example as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("rates"))
  })
})
