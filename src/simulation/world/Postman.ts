/**
 * The webhooks of the PSP on their way: before the response they belong to or a minute after it, in any order, twice, lost and sent
 * again, answered or not, to whichever instance is running, and now and then one that somebody else has made up.
 *
 * An account sends an event until it is acknowledged, or gives up after a few times; an instance that dies or does not answer within
 * ten seconds has not acknowledged it.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type { Receipt } from "../../orchestration/notify/WebhookReceipt.ts"
import * as WebhookSignature from "../../sandbox/WebhookSignature.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import type { WebhookRequest } from "../../services/Gateway.ts"
import * as Chance from "./Chance.ts"
import type { Faults } from "./Faults.ts"
import { epochMillis, type Kernel, type Process } from "./Kernel.ts"
import type { Account } from "./Psp.ts"

/** What instances take webhooks with. */
export type Receive = (request: WebhookRequest & { readonly gateway: string }) => Effect.Effect<Receipt, EventStoreError>

/** Whoever takes them: an instance that runs. */
export interface Recipient {
  readonly receive: (
    request: Parameters<Receive>[0],
    onEnd: (exit: Exit.Exit<Receipt, EventStoreError>) => void,
    onLost: () => void
  ) => { readonly leave: () => void }
}

export interface PostmanOptions {
  readonly kernel: Kernel
  readonly faults: Faults
  readonly psp: Process
  readonly seed: number
  readonly accounts: ReadonlyArray<Account>
  readonly recipient: (draw: Chance.Draw) => Recipient | undefined
  readonly onNote: (detail: () => string) => void
  readonly onWrong: (what: string) => void
}

/** An event that an account tells, and what is known of it without reading it as the adapter does. */
export interface Told {
  readonly account: string
  readonly id: string
  readonly type: string
  readonly reference: string
}

export interface Postman {
  readonly tell: (account: string, body: string) => void
  /** Events that are still to be acknowledged. */
  readonly undelivered: () => number
  /** Everything that accounts told which repeat it until it is acknowledged. */
  readonly told: ReadonlyArray<Told>
}

/** How long an account waits for the answer to a webhook, and the longest it waits before it sends one again. */
const patienceMillis = 10_000
const retryBaseMillis = 1_000
const retryCapMillis = 30_000
const triesOfGivingUp = 3

/** Before the response, about when it comes, or long after it. */
const firstDelayMillis = (draw: Chance.Draw): number => {
  const chance = draw()
  if (chance < 0.3) return 0
  return chance < 0.7 ? Chance.between(draw, 5, 500) : Chance.between(draw, 500, 60_000)
}

/** The values that say how something ended, with the subject of an event's type. */
const endings =
  /"((?:charge|refund|capture|dispute)\.)?(succeeded|failed|declined|pending|requires_action|authorized|captured|voided|opened|won|lost)"/g

/** The same event with another end, and never the same text. */
const oppositeOf = (body: string): string => {
  const succeeded = body.includes('"succeeded"')
  const opposite = body.replaceAll(endings, (_, subject: string | undefined) => `"${subject ?? ""}${succeeded ? "failed" : "succeeded"}"`)
  return opposite === body ? `${body} ` : opposite
}

interface Letter extends Told {
  readonly body: string
  readonly webhooks: Account["webhooks"]
}

const encoder = new TextEncoder()

export const make = (options: PostmanOptions): Postman => {
  const { faults, kernel, psp, recipient } = options
  const draw = Chance.stream(options.seed, "webhooks")
  const ways = new Map(options.accounts.map(({ name, webhooks }) => [name, webhooks]))
  const told: Array<Told> = []
  let undelivered = 0

  const request = ({ account, body }: Letter, signed: string): Parameters<Receive>[0] => ({
    gateway: account,
    body: encoder.encode(body),
    headers: { [WebhookSignature.headerName]: signed }
  })

  const signatureOf = ({ account, body }: Letter): string =>
    WebhookSignature.sign({
      secret: Redacted.make(`whsec_sandbox_${account}`),
      timeSeconds: Math.floor((epochMillis + kernel.now()) / 1000),
      rawBody: body
    })

  /** One delivery; `onAnswer` is told once, at the latest when the patience is over. */
  const deliver = (letter: Letter, onAnswer: (acknowledged: boolean) => void): void => {
    const to = recipient(draw)
    if (to === undefined || faults.strikes("lost")) return onAnswer(false)
    let answered = false
    const answer = (acknowledged: boolean) => {
      if (answered) return
      answered = true
      onAnswer(acknowledged)
    }
    const onEnd = (exit: Exit.Exit<Receipt, EventStoreError>) => {
      options.onNote(() => `${letter.account} ${letter.type} ${letter.reference}: ${Exit.isSuccess(exit) ? exit.value._tag : "failed"}`)
      if (Exit.isSuccess(exit) && exit.value._tag !== "Accepted")
        options.onWrong(`webhook ${letter.id} of ${letter.account} was refused: ${exit.value._tag}`)
      const arrives = Exit.isSuccess(exit) && !faults.strikes("unanswered")
      kernel.after(Chance.between(draw, 1, 20), psp, () => answer(arrives))
    }
    const { leave } = to.receive(request(letter, signatureOf(letter)), onEnd, () => answer(false))
    kernel.after(patienceMillis, psp, () => {
      if (!answered) leave()
      answer(false)
    })
  }

  const send = (letter: Letter, tries: number): void =>
    deliver(letter, (acknowledged) => {
      if (acknowledged || (letter.webhooks === "given up" && tries >= triesOfGivingUp)) return void undelivered--
      const delay = Math.min(retryBaseMillis * 2 ** Math.min(tries, 10), retryCapMillis)
      kernel.after(delay, psp, () => send(letter, tries + 1))
    })

  /** Somebody who knows the address and an event, but not the secret, says the opposite. */
  const forge = (letter: Letter): void => {
    const to = recipient(draw)
    const expected = letter.webhooks === "unsigned" ? "Accepted" : "NotVerified"
    to?.receive(
      request({ ...letter, body: oppositeOf(letter.body) }, signatureOf(letter)),
      (exit) => {
        options.onNote(() => `forged, ${letter.account} ${letter.type}: ${Exit.isSuccess(exit) ? exit.value._tag : "failed"}`)
        if (Exit.isSuccess(exit) && exit.value._tag !== expected) options.onWrong(`a forged webhook was ${exit.value._tag}`)
      },
      () => undefined
    )
  }

  return {
    told,
    undelivered: () => undelivered,
    tell: (account, body) => {
      const webhooks = ways.get(account) ?? "none"
      if (webhooks === "none") return
      const read = JSON.parse(body) as { id: string; type: string; data: { operation: { reference: string } } }
      const letter: Letter = { account, id: read.id, type: read.type, reference: read.data.operation.reference, body, webhooks }
      if (webhooks === "repeated") told.push(letter)
      const copies = faults.strikes("doubled") ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        undelivered++
        kernel.after(firstDelayMillis(draw), psp, () => send(letter, 1))
      }
      if (faults.strikes("forged")) kernel.after(firstDelayMillis(draw), psp, () => forge(letter))
    }
  }
}
