/**
 * The migration that keys claims by merchant and key first: no claim is lost and none can be made twice.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import { payments } from "../../../src/layers/postgres/migrations/0001_payments.ts"
import { claimsByKey } from "../../../src/layers/postgres/migrations/payment/0017_claims_by_key.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const insert = (rows: string) =>
  `insert into aegispay.claims (bucket, tenant, key, command, operation, fingerprint, payment_bucket, payment, claimed_at)
   select b, 't' || b % 3, k, 'charge', 1, 'f', b, gen_random_uuid(), 1 from ${rows} on conflict do nothing returning key`

const older = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create schema aegispay`
  yield* payments
  yield* sql.unsafe(insert("(select n * 7919 % 65536 as b, 'order-' || n as k from generate_series(1, 300) n) r"))
})

/** The definition of the key, and the file that it is in. */
const keyOfClaims = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ readonly definition: string; readonly file: number }>`
    select pg_get_constraintdef(k.oid) as definition, c.relfilenode::int as file from pg_constraint k join pg_class c on c.oid = k.conindid
    where k.conrelid = 'aegispay.claims'::regclass and k.contype = 'p'`
)

it.live("claims of before stay, and their keys stay taken", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* older
    const stored = sql`select bucket, tenant, key, payment::text as payment from aegispay.claims order by key`
    const before = yield* stored
    assert.lengthOf(before, 300)
    yield* claimsByKey
    assert.deepStrictEqual(yield* stored, before)
    const keys = yield* keyOfClaims
    assert.deepStrictEqual(
      keys.map(({ definition }) => definition),
      ["PRIMARY KEY (tenant, key, bucket)"]
    )
    const again = yield* sql.unsafe(insert("(select n * 7919 % 65536 as b, 'order-' || n as k from generate_series(299, 302) n) r"))
    assert.deepStrictEqual(again, [{ key: "order-301" }, { key: "order-302" }])
  }).pipe(Effect.provide(TestDatabase.layer))
)

it.live("an index that was made beforehand is taken as it is", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* older
    yield* sql`create unique index concurrently claims_by_key on aegispay.claims (tenant, key, bucket)`
    const [made] = yield* sql<{ readonly file: number }>`select relfilenode::int as file from pg_class where relname = 'claims_by_key'`
    yield* claimsByKey
    assert.deepStrictEqual(yield* keyOfClaims, [{ definition: "PRIMARY KEY (tenant, key, bucket)", file: made?.file ?? -1 }])
  }).pipe(Effect.provide(TestDatabase.layer))
)
