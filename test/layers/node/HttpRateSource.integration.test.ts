/**
 * A source of exchange rates on real sockets: what is read, what is refused, and what is told of it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"
import * as RateTable from "../../../src/domain/rates/RateTable.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import * as HttpRateSource from "../../../src/layers/node/HttpRateSource.ts"

const [eur, usd, jpy] = ["EUR", "USD", "JPY"].map((code) => CurrencyCode.make(code)) as [CurrencyCode, CurrencyCode, CurrencyCode]
const pair = { from: eur, to: usd }

type Answer = (response: http.ServerResponse, request: http.IncomingMessage) => void
const says =
  (body: string, status = 200, headers: http.OutgoingHttpHeaders = {}): Answer =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(body)

const server = (answer: Answer) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly requests: Array<http.IncomingMessage>; readonly close: () => void }>((resume) => {
      const requests: Array<http.IncomingMessage> = []
      const listening = http.createServer((request, response) => {
        requests.push(request)
        answer(response, request)
      })
      const close = () => {
        listening.close()
        listening.closeAllConnections()
      }
      listening.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/latest`, requests, close }))
      )
    }),
    ({ close }) => Effect.sync(close)
  )

const sourceOf = (url: string, options: Partial<HttpRateSource.HttpRateSourceOptions> = {}) =>
  HttpRateSource.make({ name: "ecb", url, allowLoopback: true, ...options })

const fetched = (answer: Answer, options: Partial<HttpRateSource.HttpRateSourceOptions> = {}) =>
  Effect.gen(function* () {
    const { url } = yield* server(answer)
    return yield* Effect.flatMap(sourceOf(url, options), (source) => source.fetch(pair))
  })

const client = Effect.provide(GatewayHttpClient.layer({ connectLimitMillis: 1_000 }))
const day = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000)

describe("what a source answers", () => {
  it.live("rates beside a date: numbers are read digit by digit, strings as they are", () =>
    Effect.gen(function* () {
      const date = day(1).toISOString().slice(0, 10)
      const table = yield* fetched(
        says(`{"amount":1.0,"base":"EUR","date":"${date}","rates":{"USD":1.08470000000000000000001,"JPY":"168.12","BTC":1.05e-5,"XXQ":1}}`)
      )
      assert.deepStrictEqual(table.asOf, Date.parse(date))
      assert.deepStrictEqual(
        table.rates.map((rate) => `${rate.to} ${Rate.format(rate, 30)}`),
        ["USD 1.08470000000000000000001", "JPY 168.12", "BTC 0.0000105"]
      )
    }).pipe(client)
  )

  it.live("rates beside a timestamp, or beside nothing, and the way back", () =>
    Effect.gen(function* () {
      const seconds = Math.floor(Date.now() / 1_000) - 60
      const dated = yield* fetched(says(`{"base":"USD","timestamp":${seconds},"rates":{"EUR":0.8,"JPY":150}}`))
      assert.strictEqual(dated.asOf, seconds * 1_000)
      assert.strictEqual(Rate.format(RateTable.rateOf(dated, pair)!), "1.25")
      assert.isUndefined((yield* fetched(says('{"base":"USD","rates":{"EUR":0.8}}'))).asOf)
    }).pipe(client)
  )

  it.live("its headers carry the key; the address names the pair", () =>
    Effect.gen(function* () {
      const { requests, url } = yield* server(says('{"base":"USD","rates":{"JPY":150}}'))
      const headers = { authorization: Redacted.make("Token abc") }
      const source = yield* sourceOf(`${url}/{from}?symbols={to}`, { headers })
      yield* source.fetch({ from: usd, to: jpy })
      assert.deepInclude(requests[0], { url: "/latest/USD?symbols=JPY", method: "GET" })
      assert.deepInclude(requests[0]?.headers, { authorization: "Token abc", accept: "application/json" })
      assert.notProperty(requests[0]?.headers, "traceparent")
    }).pipe(client)
  )

  it.effect("pairs that the address does not tell apart are one answer", () =>
    Effect.gen(function* () {
      for (const [url, expected] of [
        ["https://rates.example/latest", 1],
        ["https://rates.example/{from}", 2],
        ["https://rates.example/{from}/{to}", 3]
      ] as const) {
        const source = yield* sourceOf(url)
        const answers = [pair, { from: eur, to: jpy }, { from: usd, to: jpy }].map(source.answerOf)
        assert.strictEqual(new Set(answers).size, expected, url)
      }
    }).pipe(client)
  )
})

describe("what is refused", () => {
  const bodies: ReadonlyArray<readonly [string, string]> = [
    ["no JSON", "<html>"],
    ["half of it", '{"base":"EUR","rates":{"USD":1'],
    ["no object", "[1]"],
    ["no base", '{"rates":{"USD":1.1}}'],
    ["a base that is none", '{"base":"__proto__","rates":{"USD":1.1}}'],
    ["no rates", '{"base":"EUR"}'],
    ["rates that are no object", '{"base":"EUR","rates":[1.1]}'],
    ["no rate that is one", '{"base":"EUR","rates":{"USD":0,"JPY":-1,"GBP":null,"CHF":"1,1","__proto__":1}}'],
    ["an error with status 200", '{"success":false,"error":{"code":104,"info":"limit reached"}}'],
    ["another amount", '{"amount":10,"base":"EUR","rates":{"USD":10.8}}'],
    ["more than 256 KiB", `{"base":"EUR","rates":{"USD":1.1},"note":"${"x".repeat(300_000)}"}`]
  ]
  for (const [name, body] of bodies) {
    it.live(`${name}: unreadable`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(fetched(says(body)))
        assert.deepInclude(error, { _tag: "RateSourceFailed", problem: "unreadable", isRetryable: false })
      }).pipe(client)
    )
  }

  for (const [status, problem] of [
    [301, "refused"],
    [401, "refused"],
    [404, "refused"],
    [204, "refused"],
    [408, "overloaded"],
    [429, "overloaded"],
    [500, "overloaded"],
    [503, "overloaded"]
  ] as const) {
    it.live(`status ${status}: ${problem}`, () =>
      Effect.gen(function* () {
        const { requests, url } = yield* server(says("{}", status, { location: "/elsewhere", "retry-after": "7" }))
        const error = yield* Effect.flip(Effect.flatMap(sourceOf(`${url}?key=secret`), (source) => source.fetch(pair)))
        assert.strictEqual(error._tag === "RateSourceFailed" && error.problem, problem)
        assert.strictEqual(error._tag === "RateSourceFailed" && error.retryAfterMillis, problem === "overloaded" ? 7_000 : undefined)
        assert.notInclude(error.message, "secret")
        assert.lengthOf(requests, 1)
      }).pipe(client)
    )
  }

  it.live("rates that are older than 5 days, or than is configured", () =>
    Effect.gen(function* () {
      const body = (daysAgo: number) => says(`{"base":"EUR","date":"${day(daysAgo).toISOString().slice(0, 10)}","rates":{"USD":1.1}}`)
      assert.strictEqual((yield* fetched(body(4))).base, eur)
      assert.deepInclude(yield* Effect.flip(fetched(body(6))), { problem: "outdated", isRetryable: false })
      assert.deepInclude(yield* Effect.flip(fetched(body(4), { sourceAgeMillis: 3 * 86_400_000 })), { problem: "outdated" })
    }).pipe(client)
  )

  it.live("nobody there, and a connection that is lost in the middle: may go better next time", () =>
    Effect.gen(function* () {
      const gone = yield* server(says("{}"))
      gone.close()
      const lost = fetched((response) => {
        response.writeHead(200, { "content-length": "100" }).write('{"base":')
        setTimeout(() => response.destroy(), 20)
      })
      for (const asked of [Effect.flatMap(sourceOf(gone.url), (source) => source.fetch(pair)), lost]) {
        assert.deepInclude(yield* Effect.flip(asked), { problem: "unreachable", isRetryable: true })
      }
    }).pipe(client)
  )

  it.live("names and addresses that are none, and what is not https", () =>
    Effect.gen(function* () {
      for (const options of [
        { url: "not a url" },
        { url: "http://rates.example/latest" },
        { url: "http://127.0.0.1:1/latest", allowLoopback: false },
        { url: "https://user:word@rates.example/" },
        { url: "https://rates.example/#part" },
        { url: "https://rates.example/{base}" },
        { url: "ftp://rates.example/" },
        { url: "https://rates.example/", name: "ECB:1" }
      ]) {
        assert.strictEqual((yield* Effect.flip(sourceOf(options.url, options)))._tag, "InvalidRateSource", JSON.stringify(options))
      }
    }).pipe(client)
  )
})
