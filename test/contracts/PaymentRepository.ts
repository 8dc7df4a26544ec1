/**
 * The contract of the payment repository: what every layer that provides it has to pass, on what the event store of the same
 * layer has written.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/testing/TestClock"
import type { Money } from "../../src/domain/Money.ts"
import type { PaymentEvent } from "../../src/domain/payment/Event.ts"
import { AccountFingerprint, type GatewayName, type TenantId } from "../../src/domain/payment/Ids.ts"
import { initial, type Payment, type PaymentState } from "../../src/domain/payment/State.ts"
import type { PaymentStatus } from "../../src/domain/payment/Status.ts"
import * as View from "../../src/domain/payment/View.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { type Page, PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as Payments from "../support/payments.ts"
import { mustCommit, type Stores } from "./EventStore.ts"

/** All pages of a listing, one after another. At most 100. */
const allPages = Effect.fnUntraced(function* <A, E, R>(page: (cursor: string | undefined) => Effect.Effect<Page<A>, E, R>) {
  const rows: Array<A> = []
  const sizes: Array<number> = []
  let cursor: string | undefined
  for (let pages = 0; pages < 100; pages++) {
    const next = yield* page(cursor)
    rows.push(...next.data)
    sizes.push(next.data.length)
    cursor = next.nextCursor
    if (cursor === undefined) return { rows, sizes }
  }
  return assert.fail("the listing does not end")
})

const withCursor = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor })

/** Proves a layer's payment repository. `live`: with the real clock, for stores whose time is not the test clock. */
export const suite = (name: string, layer: Layer.Layer<Stores, unknown>, options: { readonly live?: boolean } = {}): void => {
  const elapse = (millis: number) => (options.live === true ? Effect.sleep(millis) : TestClock.adjust(millis))

  /** Payments of a tenant, created one after another, every third of them charged. */
  const create = Effect.fnUntraced(function* (tenant: TenantId, count: number) {
    const ids: Array<string> = []
    for (let index = 0; index < count; index++) {
      const payment = yield* mustCommit(Payments.firstCommit({ tenant }))
      if (index % 3 === 0) yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
      ids.push(payment.id)
      yield* elapse(2)
    }
    return ids
  })

  /** Open operations at a gateway of their own, oldest first. */
  const open = Effect.fnUntraced(function* (gateway: GatewayName, count: number) {
    const ids: Array<string> = []
    for (let index = 0; index < count; index++) {
      ids.push((yield* mustCommit(Payments.firstCommit({ gateway }))).id)
      yield* elapse(2)
    }
    return ids
  })

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: PaymentRepository`, (it) => {
    it.effect("gets the projection of a payment, and none of one that does not exist", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const payment = yield* mustCommit(Payments.firstCommit())
        assert.deepStrictEqual(yield* repository.get({ id: payment.id }), Option.some(View.ofPayment(payment)))
        assert.isTrue(Option.isNone(yield* repository.get({ id: Payments.newPaymentId() })))
      })
    )

    it.effect("a payment is hidden from other tenants", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const { id } = yield* mustCommit(Payments.firstCommit({ tenant }))
        assert.isTrue(Option.isSome(yield* repository.get({ id, tenant })))
        assert.isTrue(Option.isNone(yield* repository.get({ id, tenant: Payments.newTenant() })))
        assert.deepStrictEqual(yield* repository.list({ tenant: Payments.newTenant(), limit: 10 }), { data: [], nextCursor: undefined })
      })
    )

    it.effect("finds claims by tenant and key, also one that started no operation", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const commit = Payments.firstCommit()
        const payment = yield* mustCommit(commit)
        const { tenant, key } = commit.claim
        assert.strictEqual(Option.getOrThrow(yield* repository.findClaim({ tenant, key })).payment, payment.id)
        assert.isTrue(Option.isNone(yield* repository.findClaim({ tenant: Payments.newTenant(), key })))
        assert.isTrue(Option.isNone(yield* repository.findClaim({ tenant, key: Payments.newKey() })))

        const cancel = Payments.claimOf({ command: "cancel", operation: undefined })
        yield* mustCommit(Payments.commitOf(payment, [Payments.cancelRequested], { claim: cancel }))
        const found = Option.getOrThrow(yield* repository.findClaim(cancel))
        assert.deepStrictEqual(found, { ...cancel, payment: payment.id, claimedAt: found.claimedAt })
      })
    )

    it.effect("lists newest first, page by page, without a gap or a repetition", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const ids = yield* create(tenant, 8)
        const page = (cursor: string | undefined) => repository.list({ tenant, limit: 3, ...withCursor(cursor) })
        const { rows, sizes } = yield* allPages(page)
        assert.deepStrictEqual(
          rows.map((view): string => view.id),
          ids.toReversed()
        )
        assert.deepStrictEqual(sizes, [3, 3, 2])
        assert.deepStrictEqual(
          rows.map((view) => Option.some(view)),
          yield* Effect.forEach(rows, (view) => repository.get({ id: view.id }))
        )
        const exact = yield* repository.list({ tenant, limit: 8 })
        assert.strictEqual(exact.data.length, 8)
        assert.isUndefined(exact.nextCursor, "a page that holds the rest names no next one")
      })
    )

    it.effect("payments created between two pages do not disturb the listing", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const ids = yield* create(tenant, 4)
        const first = yield* repository.list({ tenant, limit: 2 })
        yield* create(tenant, 2)
        const second = yield* repository.list({ tenant, limit: 2, ...withCursor(first.nextCursor) })
        assert.deepStrictEqual(
          [...first.data, ...second.data].map((view): string => view.id),
          ids.toReversed()
        )
      })
    )

    it.effect("payments created at once are listed once each", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const commits = Array.from({ length: 11 }, () => Payments.firstCommit({ tenant }))
        yield* Effect.forEach(commits, mustCommit, { concurrency: "unbounded" })
        const { rows } = yield* allPages((cursor) => repository.list({ tenant, limit: 4, ...withCursor(cursor) }))
        assert.deepStrictEqual(rows.map((view): string => view.id).sort(), commits.map((commit): string => commit.payment.id).sort())
      })
    )

    it.effect("filters by the status of now, and pages within the filter", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const ids = yield* create(tenant, 7)
        const idsOf = (status: PaymentStatus) =>
          Effect.map(
            allPages((cursor) => repository.list({ tenant, status, limit: 2, ...withCursor(cursor) })),
            ({ rows }) => rows.map((view): string => view.id)
          )
        const charged = ids.filter((_, index) => index % 3 === 0).toReversed()
        assert.deepStrictEqual(yield* idsOf("succeeded"), charged)
        assert.deepStrictEqual(yield* idsOf("processing"), ids.filter((id) => !charged.includes(id)).toReversed())
        assert.deepStrictEqual(yield* idsOf("refunded"), [])
      })
    )

    it.effect("filters by creation time, the earliest included", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const ids = yield* create(tenant, 5)
        const all = (yield* repository.list({ tenant, limit: 10 })).data.toReversed()
        const { rows } = yield* allPages((cursor) => repository.list({ tenant, from: all[2]!.createdAt, limit: 2, ...withCursor(cursor) }))
        assert.deepStrictEqual(
          rows.map((view): string => view.id),
          ids.slice(2).toReversed()
        )
        assert.deepStrictEqual((yield* repository.list({ tenant, from: all[4]!.createdAt + 1, limit: 10 })).data, [])
      })
    )

    it.effect("a cursor that no listing made lists nothing", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        yield* create(tenant, 2)
        for (const cursor of ["", "nonsense", "%%%", "0", Payments.newPaymentId(), "'; --", "bm9uc2Vuc2U"]) {
          assert.deepStrictEqual(yield* repository.list({ tenant, limit: 10, cursor }), { data: [], nextCursor: undefined }, cursor)
        }
      })
    )

    it.effect("a cursor of another tenant's listing shows nothing of that tenant", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const other = Payments.newTenant()
        yield* create(tenant, 2)
        yield* create(other, 3)
        const first = yield* repository.list({ tenant: other, limit: 1 })
        const page = yield* repository.list({ tenant, limit: 10, ...withCursor(first.nextCursor) })
        assert.isTrue(page.data.every((view) => view.tenant === tenant))
      })
    )

    it.effect("remembers when an open operation was asked about, as long as it is open", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const payment = yield* mustCommit(Payments.firstCommit({ gateway }))
        const listed = Effect.map(
          repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, gateway, limit: 10 }),
          ({ data }) => data
        )
        const [before] = yield* listed
        assert.isUndefined(before?.askedAt)
        const question = { payment: payment.id, operation: payment.operations[0]!.intent.number, askedAt: 1_700_000_000_123 }
        yield* repository.noteAsked(question)
        assert.deepStrictEqual(yield* listed, [{ ...before!, askedAt: question.askedAt }])
        yield* mustCommit(Payments.commitOf(payment, [Payments.uncertain()]))
        const [after] = yield* listed
        assert.deepStrictEqual(after, { ...before!, status: after!.status, askedAt: question.askedAt })
        assert.notStrictEqual(after!.status, before!.status)
        yield* repository.noteAsked({ ...question, operation: 9 as typeof question.operation })
        yield* repository.noteAsked({ ...question, payment: Payments.newPaymentId() })
        assert.lengthOf(yield* listed, 1)
      })
    )

    it.effect("lists open operations oldest first, page by page", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const ids = yield* open(gateway, 5)
        const openedBefore = Number.MAX_SAFE_INTEGER
        const { rows, sizes } = yield* allPages((cursor) =>
          repository.openOperations({ openedBefore, gateway, limit: 2, ...withCursor(cursor) })
        )
        assert.deepStrictEqual(
          rows.map((row): string => row.payment),
          ids
        )
        assert.deepStrictEqual(sizes, [2, 2, 1])
        assert.isTrue(rows.every((row) => row.gateway === gateway && row.status === "processing"))
      })
    )

    it.effect("operations that were opened or closed between two pages do not disturb the listing", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const store = yield* EventStore
        const gateway = Payments.newGateway()
        const first = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* elapse(2)
        const rest = yield* open(gateway, 2)
        const openedBefore = (yield* store.now) + 1
        const page = yield* repository.openOperations({ openedBefore, gateway, limit: 1 })
        yield* mustCommit(Payments.commitOf(first, [Payments.succeeded()]))
        const next = yield* repository.openOperations({ openedBefore, gateway, limit: 10, ...withCursor(page.nextCursor) })
        assert.deepStrictEqual(
          [...page.data, ...next.data].map((row): string => row.payment),
          [first.id, ...rest]
        )
      })
    )

    it.effect("several open operations of one payment are listed each", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const payment = yield* mustCommit(Payments.firstCommit({ gateway }))
        const refunds = [2, 3, 4].map((number) =>
          Payments.intended({ payment: payment.id, number, kind: "refund", purpose: "refund", gateway, target: 1 })
        )
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded(), ...refunds]))
        const openedBefore = Number.MAX_SAFE_INTEGER
        const { rows } = yield* allPages((cursor) => repository.openOperations({ openedBefore, gateway, limit: 1, ...withCursor(cursor) }))
        assert.deepStrictEqual(
          rows.map((row) => [Number(row.operation), row.kind]),
          [
            [2, "refund"],
            [3, "refund"],
            [4, "refund"]
          ]
        )
      })
    )

    it.effect("leaves out operations opened at that time or later, and those of other gateways", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const ids = yield* open(gateway, 4)
        yield* open(Payments.newGateway(), 1)
        const all = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, gateway, limit: 10 })
        assert.strictEqual(all.data.length, 4)
        const older = yield* repository.openOperations({ openedBefore: all.data[2]!.openedAt, gateway, limit: 10 })
        assert.deepStrictEqual(
          older.data.map((row): string => row.payment),
          ids.slice(0, 2)
        )
        const everywhere = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, limit: 1000 })
        assert.isTrue(ids.every((id) => everywhere.data.some((row) => row.payment === id)))
      })
    )

    it.effect("sums up what is open per gateway account", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const summary = Effect.map(repository.openSummary, (rows) =>
          rows.filter((row) => row.gateway === gateway).sort((left, right) => left.count - right.count)
        )
        assert.deepStrictEqual(yield* summary, [])
        const first = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* elapse(2)
        const second = yield* mustCommit(Payments.firstCommit({ gateway }))
        const account = AccountFingerprint.make("account-2")
        const third = yield* mustCommit(Payments.firstCommit({ gateway, account }))
        assert.deepStrictEqual(yield* summary, [
          { gateway, account, count: 1, oldestOpenedAt: third.createdAt },
          { gateway, account: Payments.account, count: 2, oldestOpenedAt: first.createdAt }
        ])
        yield* mustCommit(Payments.commitOf(first, [Payments.succeeded()]))
        yield* mustCommit(Payments.commitOf(third, [Payments.declined(), Payments.failed]))
        assert.deepStrictEqual(yield* summary, [{ gateway, account: Payments.account, count: 1, oldestOpenedAt: second.createdAt }])
      })
    )

    it.effect("what is held is listed at the gateway that holds it, after every commit of any history", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const later = Number.MAX_SAFE_INTEGER
        const listedOf = (payment: Payment, gateways: ReadonlyArray<GatewayName>) =>
          Effect.map(
            Effect.forEach(gateways, (gateway) => repository.holds({ gateway, createdBefore: later, askedBefore: later, limit: 1000 })),
            (pages) => pages.flatMap(({ data }) => data.filter((hold) => hold.payment === payment.id))
          )
        const check = Effect.fnUntraced(function* (payment: Payment, gateways: ReadonlyArray<GatewayName>, label: string) {
          const view = View.ofPayment(payment)
          const expected = View.isHeld(view) ? [{ payment: payment.id, gateway: view.gateway, createdAt: payment.createdAt }] : []
          assert.deepStrictEqual(yield* listedOf(payment, gateways), expected, `${label}, ${view.status}`)
        })
        const gateways = [Payments.newGateway(), Payments.newGateway()] as const
        const [gateway, second] = gateways
        /** Commits each step of a history and looks after each; answers the statuses in which something was held, and in which not. */
        const play = Effect.fnUntraced(function* (
          start: Payment,
          steps: ReadonlyArray<(payment: Payment) => ReadonlyArray<PaymentEvent>>,
          label: string
        ) {
          let payment = start
          const seen: Array<string> = []
          for (const [nth, step] of steps.entries()) {
            payment = yield* mustCommit(Payments.commitOf(payment, step(payment)))
            yield* check(payment, gateways, `${label}, step ${nth + 1}`)
            const view = View.ofPayment(payment)
            seen.push(`${View.isHeld(view) ? "held" : "free"}: ${view.status}`)
          }
          return seen
        })
        const authorization = Effect.suspend(() =>
          mustCommit(Payments.firstCommit({ gateway, kind: "authorize", details: { captureMethod: "manual" } }))
        )
        const next =
          (kind: "capture" | "void" | "refund", minor: bigint, options: { readonly final?: boolean } = {}) =>
          ({ id, operations }: Payment) => {
            const purpose = kind === "void" ? "cancel" : kind
            const intended = {
              payment: id,
              gateway,
              number: operations.length + 1,
              kind,
              purpose,
              target: 1,
              amount: Payments.eur(minor)
            } as const
            const intent = Payments.intent(intended)
            const details = options.final === true ? { ...intent.details, final: true } : intent.details
            return [{ _tag: "OperationIntended", intent: { ...intent, details } } satisfies PaymentEvent]
          }
        const done =
          (number: number, minor: bigint, endsTarget = false) =>
          () => [{ ...Payments.succeeded(number, Payments.eur(minor)), endsTarget } as PaymentEvent]
        const said = (event: PaymentEvent) => () => [event]
        const dispute = { disputeId: "dp_1", amount: Payments.eur(500n) }
        const captured = [done(1, 4990n), next("capture", 1000n), done(2, 1000n)]
        // What a void that was declined at first ends after all, while the status stays: of a refunded, a disputed and a part of a payment.
        const voided = [next("void", 4990n), said(Payments.declined(3)), done(3, 4990n, true)]
        assert.deepStrictEqual(yield* play(yield* authorization, [...captured, ...voided], "voided after all"), [
          "held: authorized",
          "free: processing",
          "held: partially_captured",
          "free: processing",
          "held: partially_captured",
          "free: succeeded"
        ])
        const refunded = [...voided.slice(0, 2), next("refund", 400n), done(4, 400n)]
        assert.deepStrictEqual(
          (yield* play(yield* authorization, [...captured, ...refunded, voided[2]!], "given back in part")).slice(-2),
          ["held: partially_refunded", "free: partially_refunded"]
        )
        const whole = [...voided.slice(0, 2), next("refund", 1000n), done(4, 1000n)]
        assert.deepStrictEqual((yield* play(yield* authorization, [...captured, ...whole, voided[2]!], "given back")).slice(-2), [
          "held: refunded",
          "free: refunded"
        ])
        const disputed = [...voided.slice(0, 2), said({ _tag: "DisputeOpened", ...dispute })]
        assert.deepStrictEqual((yield* play(yield* authorization, [...captured, ...disputed, voided[2]!], "disputed")).slice(-2), [
          "held: disputed",
          "free: disputed"
        ])
        // A capture that was the last one fails afterwards: what it had released is held again.
        const last = [next("capture", 500n, { final: true }), done(3, 500n), next("refund", 400n), done(4, 400n)]
        const failed: PaymentEvent = { _tag: "CaptureFailed", operation: Payments.operationNumber(3), source: "webhook", message: "no" }
        assert.deepStrictEqual((yield* play(yield* authorization, [...captured, ...last, said(failed)], "failed afterwards")).slice(-2), [
          "free: partially_refunded",
          "held: partially_refunded"
        ])
        // A second authorization that stands holds at its own gateway.
        const moved = yield* play(
          yield* authorization,
          [
            done(1, 4990n),
            ({ id }) => [Payments.intended({ payment: id, gateway: second, number: 2, kind: "authorize" }), Payments.succeeded(2)]
          ],
          "held elsewhere"
        )
        assert.deepStrictEqual(moved, ["held: authorized", "held: authorized"])
        for (let seed = 1; seed <= 120; seed++) {
          const own = Payments.newGateway()
          const id = Payments.newPaymentId()
          let state: PaymentState = initial(id)
          for (const events of Payments.randomHistory({ payment: id, seed, gateway: own })) {
            const payment: Payment = yield* mustCommit(Payments.commitOf(state, events))
            yield* check(payment, [own, Payments.gateway], `seed ${seed}, version ${payment.version}`)
            state = payment
          }
        }
      })
    )

    it.effect("lists what is held and not captured, oldest first, until it is captured, cancelled or asked about", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const begin = Effect.gen(function* () {
          const first = yield* mustCommit(Payments.firstCommit({ gateway, kind: "authorize", details: { captureMethod: "manual" } }))
          yield* elapse(2)
          return yield* mustCommit(Payments.commitOf(first, [Payments.succeeded()]))
        })
        const held = [yield* begin, yield* begin, yield* begin, yield* begin]
        const sale = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* mustCommit(Payments.commitOf(sale, [Payments.succeeded()]))
        const waiting = yield* mustCommit(Payments.firstCommit({ gateway, kind: "authorize", details: { captureMethod: "manual" } }))
        assert.strictEqual(View.ofPayment(waiting).status, "processing")
        const later = Number.MAX_SAFE_INTEGER
        const listed = (more: { readonly createdBefore?: number; readonly askedBefore?: number; readonly gateway?: GatewayName } = {}) =>
          allPages((cursor) =>
            repository.holds({ gateway, createdBefore: later, askedBefore: later, limit: 2, ...more, ...withCursor(cursor) })
          )
        const idsOf = (payments: ReadonlyArray<Payment>) => payments.map(({ createdAt, id: payment }) => ({ payment, gateway, createdAt }))
        const all = yield* listed()
        assert.deepStrictEqual(all, { rows: idsOf(held), sizes: [2, 2] })
        assert.deepStrictEqual((yield* listed({ gateway: Payments.newGateway() })).rows, [])
        const [first, second, third, fourth] = held as [Payment, Payment, Payment, Payment]
        assert.deepStrictEqual((yield* listed({ createdBefore: third.createdAt })).rows, idsOf([first, second]))

        // One is captured in part, which leaves the rest; one is captured, one is cancelled.
        const begun = (payment: Payment, kind: "capture" | "void" | "refund", amount: Money, number = 2) =>
          mustCommit(
            Payments.commitOf(payment, [
              Payments.intended({
                payment: payment.id,
                gateway,
                number,
                kind,
                purpose: kind === "void" ? "cancel" : kind,
                target: 1,
                amount
              })
            ])
          )
        const done = (payment: Payment, amount: Money, endsTarget = false) =>
          mustCommit(Payments.commitOf(payment, [{ ...Payments.succeeded(payment.operations.length, amount), endsTarget } as PaymentEvent]))
        const { amount } = first.details
        const less = Payments.eur(amount.minor - 1n)
        const inPart = yield* done(yield* begun(first, "capture", less), less)
        assert.strictEqual(View.ofPayment(inPart).status, "partially_captured")
        const taken = yield* done(yield* begun(second, "capture", amount), amount)
        assert.strictEqual(View.ofPayment(taken).status, "succeeded")
        // What is given back ends no hold, and makes none.
        for (const [payment, back, status] of [
          [inPart, less, "refunded"],
          [taken, less, "partially_refunded"]
        ] as const) {
          assert.strictEqual(View.ofPayment(yield* done(yield* begun(payment, "refund", back, 3), back)).status, status)
        }
        const ending = yield* begun(third, "void", amount)
        assert.deepStrictEqual((yield* listed()).rows, idsOf([first, fourth]), "none while the void is open")
        assert.strictEqual(View.ofPayment(yield* done(ending, amount, true)).status, "cancelled")
        assert.deepStrictEqual((yield* listed()).rows, idsOf([first, fourth]))

        yield* repository.noteHold({ payment: first.id, askedAt: 5_000 })
        yield* repository.noteHold({ payment: second.id, askedAt: 5_000 })
        const asked = [{ ...idsOf([first])[0], askedAt: 5_000 }, ...idsOf([fourth])]
        assert.deepStrictEqual((yield* listed({ askedBefore: 5_001 })).rows, asked)
        assert.deepStrictEqual((yield* listed({ askedBefore: 5_000 })).rows, idsOf([fourth]), "asked already")
        assert.deepStrictEqual(
          (yield* repository.holds({ gateway, createdBefore: later, askedBefore: later, limit: 2, cursor: "nonsense" })).data,
          []
        )
      })
    )

    it.effect("lists what needs review of all merchants, oldest first, for as long as it does", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const review = (reason: "contradiction" | "unresolvable", operation = 1) =>
          ({ _tag: "ReviewOpened", operation: Payments.operationNumber(operation), reason, evidence: "both say so" }) as const
        const countBefore = yield* repository.reviewCount
        const payments: Array<Payment> = []
        for (let index = 0; index < 3; index++) {
          const payment = yield* mustCommit(Payments.firstCommit({ tenant: Payments.newTenant() }))
          payments.push(yield* mustCommit(Payments.commitOf(payment, [review("contradiction"), review("unresolvable")])))
        }
        const own = new Set<string>(payments.map(({ id }) => id))
        const listed = Effect.map(
          allPages((cursor) => repository.needingReview({ limit: 2, ...withCursor(cursor) })),
          ({ rows }) => rows.filter(({ id }) => own.has(id))
        )
        const rows = yield* listed
        assert.deepStrictEqual(rows, payments.map(View.ofPayment))
        assert.strictEqual(yield* repository.reviewCount, countBefore + 3)
        const [first] = payments
        const closed = (reason: "contradiction" | "unresolvable") =>
          ({ _tag: "ReviewClosed", operation: Payments.operationNumber(1), reason, by: "person", note: "seen" }) as const
        const half = yield* mustCommit(Payments.commitOf(first!, [closed("contradiction")]))
        assert.lengthOf(yield* listed, 3)
        yield* mustCommit(Payments.commitOf(half, [closed("unresolvable")]))
        assert.deepStrictEqual(
          (yield* listed).map(({ id }) => id),
          payments.slice(1).map(({ id }) => id)
        )
        assert.strictEqual(yield* repository.reviewCount, countBefore + 2)
        assert.deepStrictEqual((yield* repository.needingReview({ limit: 2, cursor: "nonsense" })).data, [])
      })
    )
  })
}
