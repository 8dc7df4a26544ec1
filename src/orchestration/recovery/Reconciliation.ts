/**
 * Reconciliation: the gateway's own list of charges and refunds against ours, both ways.
 *
 * Their records are streamed first: each is found again by our reference (payment and operation number), compared with what we say of
 * it, and what the gateway says for certain goes into the one reducer (rule 17), with everything that follows from it. Then the
 * successes that we recorded in the same time are streamed from the log; one that the list did not have is looked up.
 *
 * It may run beside the engine: what is in hand just now is left alone, and where we moved on after the list was asked for, the
 * gateway is asked again before anything is called a difference. A second run after a resolved difference finds nothing.
 *
 * **Gotchas**: the range is of the gateway's clock. Memory grows by at most 96 bytes for a record; a range with more than 1.3 million
 * charges is refused, not cut short. A truth is told again by the next run where the process dies in between.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { isChargeKind, type Operation, settledAfter, tookEffect } from "../../domain/operation/Operation.ts"
import { decide } from "../../domain/payment/Decide.ts"
import { GatewayName, type OperationNumber, operationOfRequestKey, type PaymentId, requestKeyOf } from "../../domain/payment/Ids.ts"
import { answering } from "../../domain/payment/Record.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import { amountsOf } from "../../domain/payment/Status.ts"
import { statusOfOperation } from "../../domain/payment/View.ts"
import * as Presets from "../../domain/Presets.ts"
import { EventStore } from "../../services/EventStore.ts"
import { type Gateway, type GatewayRecord, Gateways, type LookupAnswer } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import * as Journal from "../operation/Journal.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { agrees, type Finding, isFinal, isLive, theirStatus } from "./Finding.ts"
import { eventsSince } from "./LogByTime.ts"
import * as ReferenceSet from "./ReferenceSet.ts"
import { ask, handIn, objectOf } from "./Truths.ts"

/** What a run compares: what the gateway made in [from, to), in epoch milliseconds. */
export interface ReconciliationOptions {
  readonly gateway: GatewayName
  readonly from: number
  readonly to: number
  /** Only compare; record nothing. Default false. */
  readonly dryRun?: boolean
  /** Records at a time; default: the preset `recovery.concurrency`. */
  readonly concurrency?: number
  /** Told after every 100 records or so. */
  readonly onProgress?: (progress: { readonly listed: number; readonly findings: number }) => Effect.Effect<void>
}

/** A run's report. `findings` keeps the first 1,000, and of orphans the first 100,000; the counts have all. */
export interface ReconciliationReport {
  /** Records of the gateway. */
  readonly listed: number
  /** Records that say the same as we do. */
  readonly matched: number
  /** Records of operations that were in hand just then, or moved on meanwhile. */
  readonly inProgress: number
  /** Our successes in the range that the list did not have and a look-up confirmed: made at the edge of the range. */
  readonly confirmed: number
  readonly counts: { readonly [Tag in Finding["_tag"]]: number }
  /** Of the differences, those that the gateway's truth resolved. */
  readonly resolved: number
  readonly findings: ReadonlyArray<Finding>
  readonly durationMillis: number
}

/** The gateway has no list, the range is empty, or there is more in it than one run can hold. */
export class NotReconcilable extends Schema.TaggedError<NotReconcilable>()("NotReconcilable", {
  gateway: GatewayName,
  detail: Schema.String
}) {
  override get message(): string {
    return `gateway "${this.gateway}" cannot be reconciled: ${this.detail}`
  }
}

const maxFindings = 1_000
/** A person has to look at each, and nothing else has them: about 25 MB at the most. */
const maxOrphans = 100_000
/** Three of a charge. 64 MiB at the most, half as much again while the set grows. */
const maxReferences = 4_000_000
/** How far apart the clocks of database and gateway may be, and how long a transaction that records a success may last. */
const skewMillis = 3_600_000

interface Run {
  readonly gateway: Gateway
  readonly dryRun: boolean
  /** Database time before the list was asked for: what it says is at least as new. */
  readonly listedAt: number
  readonly seen: ReferenceSet.ReferenceSet
  readonly tally: {
    listed: number
    matched: number
    inProgress: number
    confirmed: number
    resolved: number
    readonly counts: { -readonly [Tag in Finding["_tag"]]: number }
  }
  readonly findings: Array<Finding>
  /** How many of all findings are orphans. */
  orphans: number
}

/** Compares, and unless `dryRun` records what the gateway says. Dies with `CallInsideTransaction` inside a host's transaction. */
export const reconcile = Effect.fn("Reconciliation.reconcile")(function* (options: ReconciliationOptions) {
  yield* outsideTransaction("Reconciliation.reconcile")
  const store = yield* EventStore
  const gateway = yield* (yield* Gateways).get(options.gateway)
  const impossible = (detail: string) => new NotReconcilable({ gateway: options.gateway, detail })
  if (gateway.list === undefined) return yield* impossible("its adapter has no list")
  if (!(options.from < options.to)) return yield* impossible("the range is empty")
  const startedAt = yield* Clock.currentTimeMillis
  const run: Run = {
    gateway,
    dryRun: options.dryRun === true,
    listedAt: yield* store.now,
    seen: ReferenceSet.make(maxReferences),
    tally: { listed: 0, matched: 0, inProgress: 0, confirmed: 0, resolved: 0, counts: { Orphan: 0, Double: 0, Difference: 0, Missing: 0 } },
    findings: [],
    orphans: 0
  }
  const concurrency = options.concurrency ?? Presets.recovery.concurrency.value
  const report = (count: number) =>
    options.onProgress === undefined ? Effect.void : options.onProgress({ listed: count, findings: run.findings.length })
  yield* gateway
    .list({ from: options.from, to: options.to })
    .pipe(
      Stream.runForEachArray((records) =>
        Effect.forEach(records, (record) => compare(run, record), { concurrency, discard: true }).pipe(
          Effect.andThen(Effect.suspend(() => (run.seen.isFull() ? impossible("too many records; take a shorter range") : Effect.void))),
          Effect.andThen(Effect.suspend(() => report(run.tally.listed)))
        )
      )
    )
  const recorded = Stream.takeWhile(yield* eventsSince(options.from - skewMillis), ({ recordedAt }) => recordedAt < options.to + skewMillis)
  yield* Stream.runForEachArray(recorded, (events) =>
    Effect.forEach(
      events,
      ({ event, paymentId, recordedAt }) => {
        if (event._tag !== "OperationSucceeded") return Effect.void
        const at = event.chargedAt ?? recordedAt
        return at >= options.from && at < options.to ? confirm(run, paymentId, event.operation) : Effect.void
      },
      { concurrency, discard: true }
    )
  )
  const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
  return { ...run.tally, findings: run.findings, durationMillis } satisfies ReconciliationReport
})

/** What one record, or one of our successes, led to. */
interface Note {
  readonly findings: Array<Finding>
  busy: boolean
}

const noted = Effect.fnUntraced(function* (run: Run, note: Note) {
  for (const finding of note.findings) {
    yield* Metrics.reconciled(finding._tag)
    // It belongs to no payment of ours: nothing else keeps it.
    if (finding._tag === "Orphan") yield* Effect.logError(alertOf(run, finding))
    run.tally.counts[finding._tag]++
    if (finding._tag === "Difference" && finding.resolved) run.tally.resolved++
    if (finding._tag === "Orphan") run.orphans++
    const [kept, most] = finding._tag === "Orphan" ? [run.orphans - 1, maxOrphans] : [run.findings.length - run.orphans, maxFindings]
    if (kept < most) run.findings.push(finding)
  }
})

const alertOf = ({ gateway }: Run, orphan: Extract<Finding, { _tag: "Orphan" }>): string =>
  `reconciliation: gateway ${gateway.name} has a ${orphan.kind} ${orphan.gatewayReference} (${orphan.theirs}${orphan.live ? ", holds money" : ""}) ` +
  `that is no payment's of ours: ${orphan.why}, reference "${orphan.reference.slice(0, 100)}"`

type Ours =
  | { readonly _tag: "Ours"; readonly payment: Payment; readonly operation: Operation }
  | { readonly _tag: "Orphan"; readonly why: Extract<Finding, { _tag: "Orphan" }>["why"] }

/** Our operation of a record. */
const oursOf = Effect.fnUntraced(function* (run: Run, record: GatewayRecord) {
  type Orphan = Extract<Ours, { _tag: "Orphan" }>
  const orphan = (why: Orphan["why"]): Orphan => ({ _tag: "Orphan", why })
  const place = operationOfRequestKey(record.reference)
  if (place === undefined) return orphan("not_our_reference")
  const loaded = yield* Journal.load({ id: place.payment }).pipe(
    Effect.catchTags({
      PaymentNotFound: () => Effect.succeed(orphan("unknown_payment")),
      EventContinuityError: () => Effect.succeed(orphan("damaged_history"))
    })
  )
  if (loaded._tag === "Orphan") return loaded
  const operation = operationOf(loaded, place.operation)
  const isOfKind = (record.kind === "refund") === (operation?.intent.kind === "refund")
  if (operation === undefined || !isOfKind) return orphan("unknown_operation")
  const { account, gateway } = operation.intent
  if (gateway !== run.gateway.name || account !== run.gateway.account) return orphan("other_gateway")
  return { _tag: "Ours", payment: loaded, operation } satisfies Ours
})

/** One record of the gateway against our operation. */
const compare = Effect.fnUntraced(function* (run: Run, record: GatewayRecord) {
  run.tally.listed++
  run.seen.add(record.reference)
  const note: Note = { findings: [], busy: false }
  const ours: Ours = yield* oursOf(run, record)
  if (ours._tag === "Orphan") {
    const { createdAt, gatewayReference, kind, reference } = record
    const theirs = theirStatus(record.answer)
    note.findings.push({ _tag: "Orphan", kind, gatewayReference, reference, theirs, live: isLive(record), createdAt, why: ours.why })
  } else {
    yield* compareWith(run, note, record, ours)
  }
  yield* noted(run, note)
  if (note.busy) run.tally.inProgress++
  else if (note.findings.length === 0) run.tally.matched++
})

const compareWith = Effect.fnUntraced(function* (run: Run, note: Note, record: GatewayRecord, ours: Extract<Ours, { _tag: "Ours" }>) {
  const { operation, payment } = ours
  if (isInHand(run, answering(payment, operation.intent.number) ?? operation)) {
    note.busy = true
    return
  }
  const double = doubleOf(run, record, ours)
  if (double !== undefined) note.findings.push(double)
  const after = yield* compareStatus(run, note, record, ours)
  if (after !== undefined) yield* compareTotals(run, note, record, after, operation.intent.number)
})

/** Somebody may be sending it just now, and will record the answer. */
const isInHand = (run: Run, operation: Operation): boolean =>
  operation.progress._tag === "Intended" && run.listedAt <= (operation.permissions.at(-1)?.sendBefore ?? 0)

/** A second charge that holds money: under the same reference, or of another operation of the payment. Each is told once. */
const doubleOf = (run: Run, record: GatewayRecord, ours: Extract<Ours, { _tag: "Ours" }>): Finding | undefined => {
  if (!isLive(record)) return undefined
  const { operation, payment } = ours
  const known = operation.facts.some((fact) => fact._tag === "Succeeded" && fact.gatewayReference !== record.gatewayReference)
  const isFirst = run.seen.add(`live ${record.reference}`)
  const base = {
    _tag: "Double",
    payment: payment.id,
    operation: operation.intent.number,
    gatewayReference: record.gatewayReference
  } as const
  if (known || !isFirst) {
    return run.seen.add(`double ${record.reference}`) ? { ...base, why: "same_reference" } : undefined
  }
  return run.seen.add(`live ${payment.id}`) ? undefined : { ...base, why: "other_operation" }
}

/** The status and amount; answers the payment as it is afterwards, or `undefined` where they differ still. */
const compareStatus = Effect.fnUntraced(function* (run: Run, note: Note, record: GatewayRecord, ours: Extract<Ours, { _tag: "Ours" }>) {
  const { operation, payment } = ours
  const { number } = operation.intent
  const now = answering(payment, number) ?? operation
  const sameObject = !now.facts.some((fact) => fact._tag === "Succeeded" && fact.gatewayReference !== record.gatewayReference)
  if (sameObject && agrees(now, record.answer)) return payment
  // We moved on after the list was asked for: it may be older than what we know.
  const moved = payment.updatedAt >= run.listedAt && sameObject
  const asked = moved ? yield* ask(run.gateway, payment, operation) : { answer: record.answer, askedAt: run.listedAt }
  if (moved && agrees(now, asked.answer)) {
    note.busy = true
    return undefined
  }
  const after = yield* tell(run, payment, number, asked)
  const told = answering(after, number) ?? operation
  const resolved = agrees(told, asked.answer)
  if (sameObject) note.findings.push({ ...differenceOf(payment, now, record.gatewayReference, asked.answer), resolved })
  return resolved ? after : undefined
})

const differenceOf = (
  payment: Payment,
  operation: Operation,
  gatewayReference: GatewayRecord["gatewayReference"],
  answer: LookupAnswer
): Omit<Extract<Finding, { _tag: "Difference" }>, "resolved"> => {
  const base = { _tag: "Difference", payment: payment.id, operation: operation.intent.number, gatewayReference } as const
  return answer._tag === "Succeeded" && tookEffect(operation)
    ? { ...base, field: "amount", ours: operation.intent.amount.minor, theirs: answer.amount.minor }
    : { ...base, field: "status", ours: statusOfOperation(operation), theirs: theirStatus(answer) }
}

/** Hands a certain answer to the reducer and carries out what follows. A refund that had succeeded and is declined now failed later. */
const tell = Effect.fnUntraced(function* (
  run: Run,
  payment: Payment,
  number: OperationNumber,
  asked: { readonly answer: LookupAnswer; readonly askedAt: number }
) {
  const { answer, askedAt } = asked
  const operation = operationOf(payment, number)
  if (run.dryRun || operation === undefined || !isFinal(answer)) return payment
  const failedLater = operation.intent.kind === "refund" && answer._tag === "Declined" && tookEffect(operation)
  return yield* handIn({
    payment,
    truth: failedLater
      ? {
          command: { _tag: "ReportFailure", operation: number, source: "reconciliation", message: answer.message },
          observedAt: askedAt
        }
      : { operation: number, evidence: { _tag: "Asked", askedAt, answer }, source: "reconciliation", observedAt: askedAt },
    source: "reconciliation"
  })
})

/**
 * What was captured and given back. Where it differs, the gateway is asked about each capture, void and refund that has not taken
 * effect with us, and where it gave back less than we say, about each refund that has.
 */
const compareTotals = Effect.fnUntraced(function* (run: Run, note: Note, record: GatewayRecord, loaded: Payment, number: OperationNumber) {
  const theirs = record.totals
  const before = answering(loaded, number)
  if (theirs === undefined || before === undefined || !tookEffect(before)) return
  const ours = amountsOf(loaded, before)
  const differing = (["captured", "refunded"] as const).filter((field) => ours[field] !== theirs[field])
  if (differing.length === 0) return
  const ofCharge = loaded.operations.filter((operation) => operation.intent.target === before.intent.number)
  if (loaded.updatedAt >= run.listedAt || ofCharge.some((operation) => isInHand(run, operation))) {
    note.busy = true
    return
  }
  let payment = loaded
  const gaveBackLess = theirs.refunded < ours.refunded
  const later = ofCharge.filter(
    (operation) => !isChargeKind(operation.intent.kind) && (!tookEffect(operation) || (gaveBackLess && operation.intent.kind === "refund"))
  )
  for (const operation of later) {
    payment = yield* tell(run, payment, operation.intent.number, yield* ask(run.gateway, payment, operation))
  }
  const after = amountsOf(payment, answering(payment, number) ?? before)
  for (const field of differing) {
    note.findings.push({
      _tag: "Difference",
      payment: payment.id,
      operation: before.intent.number,
      gatewayReference: record.gatewayReference,
      field,
      ours: ours[field],
      theirs: theirs[field],
      resolved: after[field] === theirs[field]
    })
  }
})

/** We say that it succeeded, the gateway certainly has no such thing: both are kept, and a person has to look (rule 17). */
const contradicted = Effect.fnUntraced(function* (run: Run, payment: Payment, { gatewayReference, intent }: Operation) {
  if (run.dryRun) return
  const evidence = `recorded as succeeded, gateway id ${gatewayReference ?? "unknown"}; neither the list of gateway ${intent.gateway} nor its look-up has it`
  const opened = decide({ _tag: "OpenReview", operation: intent.number, reason: "contradiction", evidence }, payment)
  const events = Result.getOrElse(opened, () => [])
  if (events.length === 0) return
  // Whoever changes the payment meanwhile may know more: the next run finds it again.
  const { result } = yield* Journal.commit({ payment, events: yield* Journal.stamp(payment, events) })
  yield* Metrics.committed(result._tag)
})

/** One success that we recorded: the list had it, or a look-up confirms it. */
const confirm = Effect.fnUntraced(function* (run: Run, id: PaymentId, number: OperationNumber) {
  if (run.seen.has(requestKeyOf({ payment: id, operation: number }))) return
  const view = Option.getOrUndefined(yield* (yield* PaymentRepository).get({ id }))
  const shown = view?.operations.find((operation) => operation.number === number)
  const isListed = shown !== undefined && (isChargeKind(shown.kind) || shown.kind === "refund")
  if (!isListed || shown.gateway !== run.gateway.name) return
  const payment = yield* Effect.option(Journal.load({ id }))
  const operation = Option.isNone(payment) ? undefined : operationOf(payment.value, number)
  if (Option.isNone(payment) || operation === undefined || operation.intent.account !== run.gateway.account) return
  const object = objectOf(payment.value, operation)
  const { requestKey } = object.intent
  if (!tookEffect(operation) || run.seen.has(requestKey) || !run.seen.add(`asked ${requestKey}`)) return
  const asked = yield* ask(run.gateway, payment.value, object)
  if (agrees(operation, asked.answer)) {
    run.tally.confirmed++
    return
  }
  const told = yield* tell(run, payment.value, object.intent.number, asked)
  if (asked.answer._tag === "Absent" && asked.askedAt > settledAfter(object)) yield* contradicted(run, told, operation)
  const finding: Finding = {
    _tag: "Missing",
    payment: id,
    operation: number,
    gatewayReference: object.gatewayReference,
    theirs: theirStatus(asked.answer)
  }
  yield* noted(run, { findings: [finding], busy: false })
})
