/**
 * Concurrent updates without locks: whoever decided on an old version decides again.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as VersionedStore from "../../../src/layers/postgres/resilience/VersionedStore.ts"
import * as OptimisticUpdate from "../../../src/orchestration/resilience/OptimisticUpdate.ts"
import { type VersionedStore as Store, VersionedStores } from "../../../src/services/resilience/VersionedStore.ts"
import { IdempotencyKey } from "../../../src/domain/payment/Ids.ts"
import * as Ask from "../Ask.ts"
import type { Check } from "../outage/Checks.ts"
import type { Section, Stage } from "../Section.ts"
import type { Ground } from "../Ground.ts"

const writers = 10
const bookings = 10
const id = "gift-card-1"

const GiftCard = Schema.Struct({ bookedMinor: Schema.Int })

export const section: Section = {
  name: "locking",
  title: "Concurrent updates with optimistic locking",
  shows: [
    `${writers} writers book EUR 1.00 on one gift card in Postgres, ${bookings} times each, all at once: an update names the version it was decided on,`,
    "and who finds a newer one reads and decides again. Then 8 refunds of EUR 3.00 of one payment of EUR 10.00, at once."
  ],
  sabotage: "updates take whatever version is there",
  run: Effect.fnUntraced(function* (stage) {
    const ground = yield* stage.ground
    return [yield* giftCard(stage, ground), yield* refunds(stage, ground)]
  })
}

const giftCard = Effect.fnUntraced(function* ({ sabotaged, say }: Stage, { database }: Ground) {
  const context = yield* Layer.build(Layer.provide(VersionedStore.layer, database))
  const cards = Context.get(context, VersionedStores).of({ entity: "gift card", schema: GiftCard })
  yield* cards.insert(id, { bookedMinor: 0 })
  let decisions = 0
  const book = (store: Store<typeof GiftCard.Type>) =>
    OptimisticUpdate.run(
      store,
      id,
      ({ bookedMinor }) => {
        decisions++
        return Effect.succeed({ bookedMinor: bookedMinor + 100 })
      },
      // With so many writers one may lose more often than the default expects.
      { strategy: { ...OptimisticUpdate.onConflict, retries: 50 } }
    )
  const store = sabotaged ? careless(cards) : cards
  yield* Effect.forEach(Array.from({ length: writers }), () => Effect.repeat(book(store), { times: bookings - 1 }), {
    concurrency: "unbounded"
  })
  const end = yield* cards.read(id)
  const { value, version } = end._tag === "Some" ? end.value : { value: { bookedMinor: 0 }, version: 0 }
  const wanted = writers * bookings * 100
  const conflicts = decisions - writers * bookings
  say(`${decisions} decisions for ${writers * bookings} bookings: ${conflicts} met a newer version and were made again`)
  say(`the card holds EUR ${value.bookedMinor / 100} at version ${version}`)
  return {
    name: "no update is lost",
    holds: value.bookedMinor === wanted && version === writers * bookings + 1,
    detail: `EUR ${value.bookedMinor / 100} of ${wanted / 100} booked, ${conflicts} conflicts`
  } satisfies Check
})

/** What many programs do: the value that was read is written over whatever has been written since. */
const careless = <A>(store: Store<A>): Store<A> => ({
  ...store,
  update: (entity, { value }) =>
    Effect.flatMap(store.read(entity), (found) =>
      store.update(entity, { value, expected: { version: found._tag === "Some" ? found.value.version : 1 } })
    )
})

const refunds = Effect.fnUntraced(function* ({ say }: Stage, { engine, providers }: Ground) {
  const tenant = Ask.tenant("locking")
  const { payment } = yield* engine.payments.charge(Ask.charge({ tenant, key: "order-1", minor: 1_000n }))
  const results = yield* Effect.forEach(
    Array.from({ length: 8 }, (_, number) => number),
    (number) =>
      Effect.result(engine.payments.refund({ id: payment.id, tenant, key: IdempotencyKey.make(`refund-${number}`), amount: 300n })),
    { concurrency: "unbounded" }
  )
  const done = results.filter(({ _tag }) => _tag === "Success").length
  const refused = results.flatMap((result) => (result._tag === "Failure" ? [result.failure.message] : []))
  const paidBack = (yield* Ask.entriesOf(providers, [payment.id]))
    .filter(({ kind }) => kind === "refund")
    .reduce((sum, { amount }) => sum + amount, 0)
  say(`8 refunds of EUR 3.00 at once: ${done} made, ${refused.length} refused${refused[0] === undefined ? "" : ` (${refused[0]})`}`)
  const now = yield* engine.payments.get({ id: payment.id, tenant })
  say(`the payment: ${now.status}, refunded EUR ${now.amountRefunded / 100}; the provider's ledger: EUR ${paidBack / 100}`)
  return {
    name: "never more is paid back than was paid",
    holds: done === 3 && paidBack === 900 && now.amountRefunded === 900,
    detail: `EUR ${paidBack / 100} of 10 in the ledger, ${done} refunds`
  } satisfies Check
})
