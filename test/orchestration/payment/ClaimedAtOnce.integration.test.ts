/**
 * Keys that are claimed at once, on a real Postgres.
 */
import { Layer } from "effect"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import * as ClaimedAtOnce from "./claimedAtOnce.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

ClaimedAtOnce.suite("Postgres", stores, { live: true })
