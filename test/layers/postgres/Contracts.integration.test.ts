/**
 * The Postgres layers pass the contracts of the services they provide.
 */
import * as Layer from "effect/Layer"
import type { SqlClient } from "effect/sql/SqlClient"
import * as Lock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as EventStoreContract from "../../contracts/EventStore.ts"
import * as OutboxContract from "../../contracts/Outbox.ts"
import * as PaymentCountsContract from "../../contracts/PaymentCounts.ts"
import * as PaymentRepositoryContract from "../../contracts/PaymentRepository.ts"
import * as StoredEvents from "../../support/storedEvents.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))
const stores = Postgres.layer.pipe(Layer.provideMerge(database))

EventStoreContract.suite<SqlClient>("Postgres", stores, {
  live: true,
  damage: (payment) => StoredEvents.remove(payment, 2)
})
PaymentRepositoryContract.suite("Postgres", stores, { live: true })
PaymentCountsContract.suite("Postgres", stores, { live: true })
OutboxContract.suite("Postgres", stores, { live: true })
EventStoreContract.fenceSuite("Postgres", Layer.merge(Postgres.layer, Lock.layer).pipe(Layer.provide(database)), { live: true })
