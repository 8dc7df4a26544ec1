/**
 * Optimistic updates of many writers on a real Postgres.
 */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as PostgresStore from "../../../src/layers/postgres/resilience/VersionedStore.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { concurrentIncrements } from "./increments.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

it.live("of concurrent increments none is lost", () =>
  concurrentIncrements(20).pipe(Effect.provide(PostgresStore.layer.pipe(Layer.provide(database))))
)
