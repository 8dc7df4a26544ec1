/**
 * Carries out a money command that came over HTTP: idempotency key, faults of the magic token, execution, answer.
 *
 * Order: faults that strike in front of the PSP (nothing is looked at) -> key -> latency -> execution, stored together with the key's
 * result -> faults that strike the answer. From the key to the execution nothing is interrupted: a caller that leaves does not stop
 * a PSP. Holding a connection is interruptible and ends when the caller leaves or at `holdMillis`.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { type Account, emptyChange, type Engine } from "./Engine.ts"
import type { JournalError } from "./Journal.ts"
import { type Fault, type FaultAfter, type FaultBefore, faultFor, find, type MagicToken } from "./MagicTokens.ts"
import type { Answer } from "./psp/Answer.ts"
import * as Idempotency from "./psp/Idempotency.ts"
import type { StoredResult } from "./psp/PspState.ts"
import { type CallerCommand, decide } from "./psp/Transitions.ts"
import * as Reply from "./http/Reply.ts"

/** A decoded command with its key. */
export interface Prepared {
  readonly command: CallerCommand
  readonly key: string
  readonly fingerprint: string
  readonly fault: Fault | undefined
  /** The fault strikes in front of the PSP, which stores nothing then. */
  readonly once: boolean
}

/** SHA-256 of what a key stands for: path and canonical body. */
export const fingerprint = (path: string, canonical: string): string =>
  createHash("sha256").update(path).update("\n").update(canonical).digest("base64url")

const kindOf = (command: CallerCommand) => {
  switch (command._tag) {
    case "CreateCharge":
      return "charge"
    case "ConfirmCharge":
      return "confirm"
    case "CaptureCharge":
      return "capture"
    case "VoidCharge":
    case "VoidByReference":
      return "void"
    case "RefundCharge":
      return "refund"
  }
}

const tokenOf = (account: Account, command: CallerCommand): MagicToken | undefined => {
  if (command._tag === "CreateCharge") return find(command.token)
  if (command._tag !== "VoidByReference") return find(account.state.charges.get(command.chargeId)?.token ?? "")
  const ids = account.state.byReference.get(command.targetReference) ?? []
  const operation = account.state.operations.get(ids.at(-1) ?? "")
  return find(account.state.charges.get(operation?.chargeId ?? "")?.token ?? "")
}

/** First sends that met a `once` fault are remembered up to this number of keys per account. */
const maxFaulted = 10_000

/** The fault that this request meets. Asking counts as the first send of its key. */
export const takeFault = (account: Account, command: CallerCommand, key: string): Pick<Prepared, "fault" | "once"> => {
  const token = tokenOf(account, command)
  const fault = token === undefined ? undefined : faultFor(token, kindOf(command))
  if (fault === undefined || token?.once !== true) return { fault, once: false }
  if (account.faulted.has(key)) return { fault: undefined, once: true }
  account.faulted.add(key)
  if (account.faulted.size > maxFaulted) {
    for (const oldest of account.faulted) {
      account.faulted.delete(oldest)
      break
    }
  }
  return { fault, once: true }
}

/** Keeps the connection without an answer until the caller leaves, at most `holdMillis`. */
export const hold = (engine: Engine): Effect.Effect<Reply.Reply> => Effect.as(Effect.sleep(engine.options.holdMillis), Reply.reset)

/** A request's share of the mean latency: between half and one and a half of it. */
export const latency = (engine: Engine, account: Account): Effect.Effect<void> => {
  const slow = account.control.outage === "slow" ? engine.options.slowMillis : 0
  const millis = account.control.latencyMillis * (0.5 + engine.random.nextDoubleUnsafe()) + slow
  return millis > 0 ? Effect.sleep(millis) : Effect.void
}

interface Executed {
  readonly answer: Answer
  readonly body: string
  readonly replayed: boolean
}

const plain = (answer: Answer): Executed => ({ answer, body: JSON.stringify(answer.body), replayed: false })

const replay = ({ body, status }: StoredResult): Executed => ({ answer: { status, body: {} }, body, replayed: true })

/** Decides, and stores the result in the same change, so that one line of the journal holds both or neither. */
const step = (account: Account, prepared: Prepared) => (now: number) => {
  const { command, fault, fingerprint, key } = prepared
  const fails = fault === "5xx_before"
  const decision = fails ? { answer: Reply.serverError } : decide(account.state, command, now)
  const hides = fault === "5xx_after" && decision.answer.status < 400
  const stored = hides && account.options.cachesFailures ? Reply.serverError : decision.answer
  const executed = plain(decision.answer)
  if (!Idempotency.isStored(stored.status, account.options)) return { change: decision.change, value: executed }
  const body = stored === decision.answer ? executed.body : JSON.stringify(stored.body)
  const change = decision.change ?? emptyChange(account.state, now)
  return { change: { ...change, result: { key, fingerprint, at: change.at, status: stored.status, body } }, value: executed }
}

/** The part that a caller cannot interrupt: from taking the key to the durable result. */
const execute = (engine: Engine, account: Account, prepared: Prepared): Effect.Effect<Executed, JournalError> =>
  Effect.clockWith((clock) => {
    if (account.busy.has(prepared.key)) return Effect.succeed(plain(Idempotency.inUse.answer))
    const now = clock.currentTimeMillisUnsafe()
    const known = Idempotency.lookup(account.state, { key: prepared.key, fingerprint: prepared.fingerprint, now })
    switch (known._tag) {
      case "Replay":
        return Effect.as(latency(engine, account), replay(known.result))
      case "Mismatch":
        return Effect.succeed(plain(Idempotency.mismatch.answer))
      case "Full":
        return Effect.succeed(plain(Idempotency.full.answer))
      case "Fresh": {
        account.busy.add(prepared.key)
        return latency(engine, account).pipe(
          Effect.andThen(prepared.fault === "slow" ? Effect.sleep(engine.options.slowMillis) : Effect.void),
          Effect.andThen(engine.perform(account, step(account, prepared))),
          Effect.ensuring(Effect.sync(() => account.busy.delete(prepared.key)))
        )
      }
    }
  }).pipe(Effect.uninterruptible)

/** `tok_late`: when the caller has left (or the bound is reached) the request is on its way for `lateMillis` more. */
const late = (engine: Engine, account: Account, prepared: Prepared): Effect.Effect<Reply.Reply> =>
  Effect.ensuring(
    hold(engine),
    engine.detach(
      Effect.sleep(engine.options.lateMillis).pipe(
        Effect.andThen(execute(engine, account, { ...prepared, fault: undefined })),
        Effect.ignore
      )
    )
  )

/** Faults in front of the PSP, which neither looks at the key nor stores anything. */
const before = (engine: Engine, account: Account, prepared: Prepared, fault: FaultBefore): Effect.Effect<Reply.Reply> => {
  switch (fault) {
    case "5xx_before":
      return Effect.succeed(Reply.json(Reply.serverError))
    case "timeout_before":
      return hold(engine)
    case "reset_before":
      return Effect.succeed(Reply.reset)
    case "rate_limited":
      return Effect.succeed(Reply.rateLimited)
    case "configuration":
      return Effect.succeed(Reply.notAllowed)
    case "conflict":
      return Effect.succeed(Reply.json(Idempotency.inUse.answer))
    case "late":
      return late(engine, account, prepared)
  }
}

const hugePadding = "x".repeat(1024 * 1024 + 1)
/** What is no answer of a PSP. */
export const garbage = "<!doctype html><html><body><h1>It works</h1></body></html>"

/** Faults of the answer to a request that was executed. */
const after = (engine: Engine, account: Account, executed: Executed, fault: FaultAfter): Effect.Effect<Reply.Reply> => {
  switch (fault) {
    case "timeout_after":
      return hold(engine)
    case "reset_after":
      return Effect.succeed(Reply.reset)
    case "5xx_after":
      return Effect.succeed(Reply.json(Reply.serverError))
    case "garbage":
      return Effect.succeed(Reply.text(200, garbage, { contentType: "text/html" }))
    case "huge_body":
      return Effect.succeed(Reply.text(executed.answer.status, JSON.stringify({ ...executed.answer.body, padding: hugePadding })))
    case "redirect": {
      const location = `/${account.options.name}/v1/redirected/charges`
      return Effect.succeed(Reply.text(307, "", { contentType: "text/plain", headers: { location } }))
    }
    case "slow":
      return Effect.succeed(toReply(executed))
  }
}

const toReply = (executed: Executed): Reply.Reply =>
  Reply.text(executed.answer.status, executed.body, executed.replayed ? { headers: { "idempotent-replayed": "true" } } : {})

const isBefore = (fault: Fault): fault is FaultBefore =>
  fault === "timeout_before" ||
  fault === "reset_before" ||
  fault === "5xx_before" ||
  fault === "rate_limited" ||
  fault === "configuration" ||
  fault === "conflict" ||
  fault === "late"

/** Carries out a command and answers it. */
export const operate = (engine: Engine, account: Account, prepared: Prepared): Effect.Effect<Reply.Reply, JournalError> => {
  const { fault } = prepared
  // A 5xx that is not of the kind `once` is the PSP's own: it takes the key and is stored where the account caches failures.
  const inFront = fault !== "5xx_before" || prepared.once
  if (fault !== undefined && isBefore(fault) && inFront) return before(engine, account, prepared, fault)
  return Effect.flatMap(execute(engine, account, prepared), (executed) =>
    fault === undefined || isBefore(fault) || executed.replayed || executed.answer.status >= 400
      ? Effect.succeed(toReply(executed))
      : after(engine, account, executed, fault)
  )
}

/** Executes without looking at any key: what a redirect leads to. */
export const operateUnkeyed = (engine: Engine, account: Account, command: CallerCommand): Effect.Effect<Reply.Reply, JournalError> =>
  Effect.uninterruptible(
    engine.perform(account, (now) => {
      const decision = decide(account.state, command, now)
      return { change: decision.change, value: Reply.json(decision.answer) }
    })
  )
