/**
 * Delivers the sandbox's webhooks: signed, at least once within a bounded number of sends, unordered between events.
 *
 * Events wait in a bounded queue and are sent by a few workers; what does not fit is dropped and counted. Waiting events are not
 * kept over a restart: a receiver that must not miss one polls or looks up, as with a real PSP. Redirects are not followed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { ResolvedAccount, ResolvedOptions } from "./Options.ts"
import * as WebhookSignature from "./WebhookSignature.ts"

/** Sends that run at the same time, over all accounts. */
const workers = 8

export interface Webhooks {
  /** Queues an event for the account's URL; without a URL nothing happens. */
  readonly offer: (account: ResolvedAccount, body: string) => void
  readonly counts: () => { readonly delivered: number; readonly dropped: number; readonly failed: number }
}

interface Item {
  readonly account: ResolvedAccount
  readonly url: () => string | undefined
  readonly body: string
}

export const make = Effect.fnUntraced(function* (
  options: ResolvedOptions["webhooks"],
  random: Random.Random
): Effect.fn.Return<Webhooks, never, Scope.Scope> {
  const queue = yield* Queue.dropping<Item>(options.maxQueued)
  const client = yield* Layer.build(FetchHttpClient.layer)
  const counts = { delivered: 0, dropped: 0, failed: 0 }

  const attempt = Effect.fnUntraced(
    function* (item: Item) {
      const url = item.url()
      if (url === undefined) return false
      const client = yield* HttpClient.HttpClient
      const timeSeconds = Math.floor((yield* Clock.currentTimeMillis) / 1000)
      const signature = WebhookSignature.sign({ secret: item.account.webhookSecret, timeSeconds, rawBody: item.body })
      const request = HttpClientRequest.post(url).pipe(
        HttpClientRequest.bodyText(item.body, "application/json"),
        HttpClientRequest.setHeader(WebhookSignature.headerName, signature)
      )
      const response = yield* client.execute(request)
      yield* Effect.ignore(response.text)
      return response.status >= 200 && response.status < 300
    },
    Effect.timeout(options.timeoutMillis),
    Effect.orElseSucceed(() => false)
  )

  const send = Effect.fnUntraced(function* (item: Item) {
    for (let number = 1; number <= options.maxAttempts; number++) {
      if (yield* attempt(item)) {
        counts.delivered += 1
        return
      }
      if (number < options.maxAttempts) yield* Effect.sleep(options.retryMillis * 2 ** (number - 1))
    }
    counts.failed += 1
  })

  const work = Effect.gen(function* () {
    const item = yield* Queue.take(queue)
    if (options.reorderMillis > 0) yield* Effect.sleep(random.nextDoubleUnsafe() * options.reorderMillis)
    yield* send(item)
    if (random.nextDoubleUnsafe() < options.duplicateRate) yield* send(item)
  }).pipe(Effect.forever, Effect.provide(client), Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }))
  for (let index = 0; index < workers; index++) yield* Effect.forkScoped(work)

  return {
    offer: (account, body) => {
      const { webhookUrl } = account
      if (webhookUrl === undefined) return
      const url = typeof webhookUrl === "function" ? webhookUrl : () => webhookUrl
      if (!Queue.offerUnsafe(queue, { account, url, body })) counts.dropped += 1
    },
    counts: () => counts
  }
})
