/**
 * Processing stored webhooks: each becomes a truth about an operation and goes through the one reducer (rules 17 and 18).
 *
 * A webhook is done when what it tells is durable; a crash before that processes it again, which changes nothing where it was durable
 * already. One whose payment is not known yet waits for it, up to an age; one that fails waits with backoff and becomes a dead letter.
 *
 * What follows from a truth (the next gateway, closing what was left open) is started in the same commit and driven in the background.
 *
 *     yield* WebhookProcessing.run()      // until it is interrupted
 *
 * **Gotchas**: a decline counts from the time the gateway says it happened, less the skew its clock may have, never from when it was
 * read: between the two a permitted request may have arrived (rule 13). A decline about an object that another operation has taken over
 * since, and everything of a gateway that cannot prove who it is, only makes us ask.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Operation } from "../../domain/operation/Operation.ts"
import { operationOfRequestKey, type PaymentId } from "../../domain/payment/Ids.ts"
import { answering } from "../../domain/payment/Record.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { EventStore } from "../../services/EventStore.ts"
import { type Gateway, Gateways, type GatewayWebhooks, gaveUp, type LookupAnswer, type WebhookNews } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type LeasedWebhook, WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import { conclude, type Persist, type Report, type Truth } from "../operation/Conclude.ts"
import { driveInBackground } from "../operation/Drive.ts"
import * as Journal from "../operation/Journal.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { isHolding, release } from "../recovery/Release.ts"
import { madeBetween } from "../recovery/Truths.ts"
import * as Backoff from "./Backoff.ts"

/** All optional; the presets `webhooks`. Times in milliseconds. */
export interface ProcessingOptions {
  /** Webhooks at a time, 1 to 1,000. */
  readonly concurrency?: number
  readonly leaseMillis?: number
  readonly pollMillis?: number
  readonly maxAttempts?: number
  readonly unknownMaxAgeMillis?: number
}

/** What a run did. `ignored`: they do not concern a payment of ours. `lost`: another process has it. */
export interface ProcessingReport {
  readonly done: number
  readonly ignored: number
  readonly retried: number
  readonly dead: number
  readonly lost: number
}

/** What one webhook came to. `Wait`: for something that is not its fault, until it is too old; `atAnyAge`: for as long as it takes. */
type Verdict =
  | { readonly _tag: "Done" }
  | { readonly _tag: "Ignored" }
  | { readonly _tag: "Wait"; readonly reason: string; readonly atAnyAge?: boolean }
  | { readonly _tag: "Failed"; readonly reason: string }
  | { readonly _tag: "Poison"; readonly reason: string }

const done: Verdict = { _tag: "Done" }
const failed = (reason: string): Extract<Verdict, { _tag: "Failed" }> => ({ _tag: "Failed", reason })

const backoff: Backoff.Backoff = {
  baseMillis: Presets.webhooks.retryBaseMillis.value,
  capMillis: Presets.webhooks.retryCapMillis.value,
  jitter: Presets.webhooks.retryJitter.value
}

/** A webhook is kept until it is done: what cannot be stored now is told again by its next attempt. */
const once: Persist = (commit) => commit

type About = Exclude<WebhookNews, { _tag: "About" | "Ignored" | "Unreadable" }>

/** The payment that a webhook turned out to be about, for the log. */
interface Concerned {
  payment?: PaymentId
}

const judge = Effect.fnUntraced(function* (webhook: LeasedWebhook, concerned: Concerned) {
  const gateways = yield* Gateways
  const gateway = yield* Effect.option(gateways.get(webhook.gateway))
  const webhooks = gateway._tag === "Some" ? gateway.value.webhooks : undefined
  if (gateway._tag === "None" || webhooks === undefined) return { _tag: "Wait", reason: "its gateway is not configured" } satisfies Verdict
  const { news: told, occurredAt } = webhooks.parse(webhook.body)
  const news = told._tag === "About" ? yield* referred(webhooks, told) : told
  if (news._tag === "Failed") return news
  if (news._tag === "Ignored") return { _tag: "Ignored" } satisfies Verdict
  if (news._tag === "Unreadable") return { _tag: "Poison", reason: news.reason } satisfies Verdict
  const subject = operationOfRequestKey(news.reference)
  // Somebody else uses the account too.
  if (subject === undefined) return { _tag: "Ignored" } satisfies Verdict
  concerned.payment = subject.payment
  const payment = yield* Journal.load({ id: subject.payment }).pipe(
    Effect.catchTag("PaymentNotFound", () => Effect.succeed(undefined)),
    Effect.catchTag("EventContinuityError", (error) => Effect.die(error))
  )
  const operation = payment === undefined ? undefined : operationOf(payment, subject.operation)
  if (payment === undefined || operation === undefined) return { _tag: "Wait", reason: "its payment is not known" } satisfies Verdict
  if (operation.intent.gateway !== gateway.value.name || operation.intent.account !== gateway.value.account) {
    return { _tag: "Poison", reason: "it speaks about an operation of another gateway account" } satisfies Verdict
  }
  const trusted: About = webhooks.trust === "news" ? news : { _tag: "Hint", reference: news.reference }
  return yield* take({ gateway: gateway.value, payment, operation, news: trusted, receivedAt: webhook.receivedAt, occurredAt })
})

/** The news of an object that the gateway names by its own id only: the gateway is asked whose it is. */
const referred = (webhooks: GatewayWebhooks, { gatewayReference, newsOf }: Extract<WebhookNews, { _tag: "About" }>) => {
  const limit = Duration.millis(Presets.recovery.lookupTimeoutMillis.value)
  return (webhooks.referenceOf?.(gatewayReference) ?? Effect.fail(gaveUp("inconclusive", "this gateway cannot tell"))).pipe(
    Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.fail(gaveUp("timeout", "the look-up was not answered")) }),
    Effect.map((reference) => {
      const news = newsOf(reference)
      return news._tag === "About" ? failed("it refers to an object that refers to another") : news
    }),
    Effect.catch(({ message }) => Effect.succeed(failed(`the gateway could not be asked whose object it is: ${message}`)))
  )
}

interface Matched {
  readonly gateway: Gateway
  readonly payment: Payment
  readonly operation: Operation
  readonly news: About
  /** Database time. */
  readonly receivedAt: number
  /** The gateway's time. */
  readonly occurredAt: number | undefined
}

const take = Effect.fnUntraced(function* (matched: Matched) {
  const { news, operation, payment } = matched
  const store = yield* EventStore
  const observedAt = yield* store.now
  const { number } = operation.intent
  switch (news._tag) {
    case "FailedLater":
      return yield* record(payment, failureOf(operation, news.message, observedAt))
    case "Dispute": {
      const { amount, disputeId, status } = news
      const at = matched.occurredAt === undefined ? {} : { at: matched.occurredAt }
      return yield* record(payment, { command: { _tag: "ReportDispute", disputeId, amount, status, ...at }, observedAt })
    }
    case "ForPerson": {
      const about = news.about === undefined ? {} : { about: news.about }
      const command = { _tag: "OpenReview", operation: number, reason: "contradiction", evidence: news.evidence, ...about } as const
      return yield* record(payment, { command, observedAt })
    }
    case "Released":
      // What a confirm has taken over is its hold.
      return isHolding(payment, answering(payment, number) ?? operation) ? yield* released(matched) : yield* ask(matched, observedAt)
    case "Hint":
      return yield* ask(matched, observedAt)
    case "Answer": {
      const answer = news.answerFor(operation.intent)
      if (hasFailedLater(operation, answer)) return yield* record(payment, failureOf(operation, messageOf(answer), observedAt))
      const endsIt = answer._tag === "Declined" || answer._tag === "Absent"
      if (answer._tag === "Unknown" || (endsIt && answering(payment, number)?.intent.number !== number))
        return yield* ask(matched, observedAt)
      return yield* record(payment, {
        operation: number,
        evidence: { _tag: "Asked", askedAt: endsIt ? certainSince(matched) : matched.receivedAt, answer },
        source: "webhook",
        observedAt
      })
    }
  }
})

/** The database time by which what a webhook tells was surely so: before its receipt, and before it happened by a clock that may be ahead. */
const certainSince = ({ occurredAt, receivedAt }: Matched): number =>
  occurredAt === undefined ? 0 : Math.min(receivedAt, occurredAt - Presets.webhooks.clockSkewMillis.value)

/** A capture or refund that had succeeded and is declined now failed later: a fact, no contradiction. */
const hasFailedLater = ({ intent, progress }: Operation, answer: LookupAnswer): boolean =>
  (intent.kind === "capture" || intent.kind === "refund") && progress._tag === "Succeeded" && answer._tag === "Declined"

const messageOf = (answer: LookupAnswer): string => ("message" in answer ? answer.message : "")

const failureOf = (operation: Operation, message: string, observedAt: number): Report => ({
  command: { _tag: "ReportFailure", operation: operation.intent.number, source: "webhook", message },
  observedAt
})

/** The gateway is asked, as recovery would. An answer that says nothing is asked for again. */
const ask = Effect.fnUntraced(function* ({ gateway, operation, payment }: Matched, askedAt: number) {
  const { gatewayReference, intent } = operation
  if (gatewayReference === undefined && gateway.capabilities.operations[intent.kind].lookupByReference === undefined) {
    return failed("the gateway cannot be asked by our reference, and its id is not known yet")
  }
  const made = madeBetween(payment, operation, askedAt)
  const answer = yield* gateway.lookup({ payment: payment.id, intent, gatewayReference, made }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value),
      orElse: () => Effect.succeed<LookupAnswer>(gaveUp("timeout", "the look-up was not answered"))
    })
  )
  if (answer._tag === "Unknown") return failed(`the gateway could not be asked: ${answer.message}`)
  if (hasFailedLater(operation, answer)) return yield* record(payment, failureOf(operation, messageOf(answer), askedAt))
  return yield* record(payment, {
    operation: intent.number,
    evidence: { _tag: "Asked", askedAt, answer },
    source: "webhook",
    observedAt: askedAt
  })
})

/** The hold is voided. Where another operation is under way, or was faster, the webhook is judged again when that has ended. */
const released = ({ gateway, payment }: Matched) =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      const voiding = yield* release(payment, gateway)
      if (voiding === undefined) return { _tag: "Wait", reason: "another operation of its payment is under way" } satisfies Verdict
      yield* driveInBackground(voiding.payment, voiding.started)
      return done
    })
  )

/** Between the commit and the start of what it permits a stop is not noticed (rule 16). */
const record = (payment: Payment, truth: Truth | Report) =>
  Effect.uninterruptible(
    Effect.gen(function* () {
      const concluded = yield* conclude({ payment, truth, persist: once })
      yield* CrashPoint.reach("webhook/after-truth")
      if (concluded.started !== undefined) yield* driveInBackground(concluded.payment, concluded.started)
      return done
    })
  )

/** What becomes of a webhook in the inbox. */
const finish = Effect.fnUntraced(function* (webhook: LeasedWebhook, verdict: Verdict, options: ProcessingOptions) {
  const inbox = yield* WebhookInbox
  const ended = (answered: boolean, result: keyof ProcessingReport) => (answered ? result : "lost")
  const bury = Effect.fnUntraced(function* (reason: string) {
    yield* Effect.logError(`the webhook is given up: ${reason}`)
    return ended(yield* inbox.bury(webhook, reason), "dead")
  })
  switch (verdict._tag) {
    case "Done":
      return ended(yield* inbox.done(webhook), "done")
    case "Ignored":
      return ended(yield* inbox.done(webhook), "ignored")
    case "Poison":
      return yield* bury(verdict.reason)
    case "Wait": {
      if (verdict.atAnyAge !== true && webhook.ageMillis >= (options.unknownMaxAgeMillis ?? Presets.webhooks.unknownMaxAgeMillis.value))
        return yield* bury(verdict.reason)
      // As long again as it has waited already: doubled each time.
      const delayMillis = Math.min(Math.max(webhook.ageMillis, backoff.baseMillis), backoff.capMillis)
      return ended(yield* inbox.retryLater(webhook, { delayMillis, failed: false }), "retried")
    }
    case "Failed": {
      if (webhook.attempts >= (options.maxAttempts ?? Presets.webhooks.maxAttempts.value)) return yield* bury(verdict.reason)
      const delayMillis = yield* Backoff.delayMillis(backoff, webhook.attempts)
      return ended(yield* inbox.retryLater(webhook, { delayMillis, failed: true }), "retried")
    }
  }
})

/** One that was attempted more often than allowed ended its process each time: it is not attempted again. */
const one = (webhook: LeasedWebhook, options: ProcessingOptions) => {
  const { eventId, gateway } = webhook
  return Effect.annotateLogs(processed(webhook, options), { correlationId: `webhook-${eventId}`, gateway, webhook: eventId })
}

const processed = Effect.fnUntraced(function* (webhook: LeasedWebhook, options: ProcessingOptions) {
  const maxAttempts = options.maxAttempts ?? Presets.webhooks.maxAttempts.value
  const concerned: Concerned = {}
  const verdict =
    webhook.attempts > maxAttempts
      ? failed("it was never finished")
      : yield* judge(webhook, concerned).pipe(
          Effect.catchTag("EventStoreError", (error) =>
            Effect.succeed<Verdict>(error.isRetryable ? { _tag: "Wait", reason: error.message, atAnyAge: true } : failed(error.message))
          ),
          Effect.catchDefect((defect) =>
            Effect.succeed(failed(`it could not be processed: ${defect instanceof Error ? defect.message : "defect"}`))
          )
        )
  const result = yield* finish(webhook, verdict, options).pipe(
    // It is leased again when this lease is over.
    Effect.catchTag("EventStoreError", (error) =>
      Effect.as(Effect.logWarning(`what became of the webhook cannot be stored: ${error.message}`), "lost" as const)
    ),
    Effect.annotateLogs({ ...concerned })
  )
  yield* Metrics.webhook({ gateway: webhook.gateway, result: result === "retried" ? "retry" : result })
  return result
})

/** Leases what waits once, processes it, and reports. Dies with `CallInsideTransaction` inside a host's transaction. */
export const runOnce = Effect.fn("WebhookProcessing.runOnce")(function* (options: ProcessingOptions = {}) {
  yield* outsideTransaction("WebhookProcessing.runOnce")
  const inbox = yield* WebhookInbox
  const concurrency = Math.min(1000, Math.max(1, options.concurrency ?? Presets.webhooks.concurrency.value))
  const leased = yield* inbox.lease({ limit: concurrency, ttlMillis: options.leaseMillis ?? Presets.webhooks.leaseMillis.value })
  const results = yield* Effect.forEach(leased, (webhook) => one(webhook, options), { concurrency })
  const count = (result: keyof ProcessingReport) => results.filter((other) => other === result).length
  return {
    done: count("done"),
    ignored: count("ignored"),
    retried: count("retried"),
    dead: count("dead"),
    lost: count("lost")
  } satisfies ProcessingReport
})

/** Forgets old events, a page at a time, no more than ten pages. */
export const purge = Effect.fn("WebhookProcessing.purge")(function* () {
  const inbox = yield* WebhookInbox
  const limit = Presets.webhooks.purgePage.value
  let forgotten = 0
  for (let page = 0; page < 10; page++) {
    const count = yield* inbox.purge({ olderThanMillis: Presets.webhooks.retentionMillis.value, limit })
    forgotten += count
    if (count < limit) break
  }
  return forgotten
})

/** Processes webhooks until it is interrupted, and forgets old ones every hour. The database being away is waited for. */
export const run = Effect.fnUntraced(function* (options: ProcessingOptions = {}) {
  const idle = Effect.sleep(Duration.millis(options.pollMillis ?? Presets.webhooks.pollMillis.value))
  let purgedAt = yield* Clock.currentTimeMillis
  const step = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now - purgedAt >= Presets.webhooks.purgeIntervalMillis.value) {
      purgedAt = now
      yield* purge()
    }
    const report = yield* runOnce(options)
    if (Object.values(report).every((count) => count === 0)) yield* idle
  }).pipe(
    Effect.catchTag("EventStoreError", (error) =>
      Effect.andThen(Effect.logWarning(`the inbox of webhooks cannot be read: ${error.message}`), idle)
    )
  )
  return yield* Effect.forever(step)
})
