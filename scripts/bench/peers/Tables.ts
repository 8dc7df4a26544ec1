/**
 * The tables and statements of a payment without an engine: what a careful team would write by hand.
 *
 * Keys rise with time (UUIDs of version 7), the head's page has room for updates that touch no index, payloads are text, the version is
 * checked where it is changed: the choices of the engine's own tables.
 */
import { randomBytes } from "node:crypto"

/** Makes the tables. */
export const ddl = `
  create table idempotency (key text primary key, payment uuid not null, fingerprint text not null, response text) with (fillfactor = 70);
  create table payments (id uuid primary key, tenant text not null, status text not null, version integer not null, amount bigint not null,
    currency text not null, created_at timestamptz not null default now(), updated_at timestamptz not null default now())
    with (fillfactor = 70);
  create table events (payment uuid not null, version integer not null, type text not null, data text not null,
    recorded_at timestamptz not null default now(), primary key (payment, version));
  create table outbox (id bigint generated always as identity primary key, payment uuid not null, version integer not null)`

/** About what an event of the engine takes as JSON. */
const dataBytes = 380

/** The payload of an event. */
export const payload: Readonly<Record<string, string>> = {
  gateway: "sandbox-primary",
  note: "x".repeat(dataBytes - `{"gateway":"sandbox-primary","note":""}`.length)
}
/** The same as text. */
export const data = JSON.stringify(payload)

const fingerprint = "0123456789abcdef".repeat(4)
const response = JSON.stringify({ status: "succeeded" })

/** Statements of one payment. `id`, `key` and `data` are written as they stand in the statement. */
export const statementsOf = (id: string, key: string, text: string) => {
  const idempotency = `insert into idempotency (key, payment, fingerprint) values (${key}, ${id}, '${fingerprint}')`
  const payment = `insert into payments (id, tenant, status, version, amount, currency) values (${id}, 'benchmark', 'processing', 2, 4990, 'EUR')`
  const event = (version: number, type: string) =>
    `insert into events (payment, version, type, data) values (${id}, ${version}, '${type}', ${text})`
  const outbox = `insert into outbox (payment, version) values (${id}, 3)`
  const settled = `update payments set status = 'succeeded', version = 3, updated_at = now() where id = ${id} and version = 2`
  const answered = `update idempotency set response = '${response}' where key = ${key}`
  return {
    /** The first transaction, statement by statement. */
    intent: [idempotency, payment, event(1, "PaymentCreated"), event(2, "OperationIntended")],
    /** The second one. */
    outcome: [settled, answered, event(3, "OperationSucceeded"), outbox],
    /** The first transaction as one statement. */
    intentAtOnce: `with claimed as (${idempotency} returning payment),
      begun as (insert into payments (id, tenant, status, version, amount, currency)
        select payment, 'benchmark', 'processing', 2, 4990, 'EUR' from claimed returning id)
      insert into events (payment, version, type, data)
        select begun.id, e.version, e.type, ${text}
        from begun, (values (1, 'PaymentCreated'), (2, 'OperationIntended')) e(version, type)`,
    /** The second one as one statement. */
    outcomeAtOnce: `with settled as (${settled} returning id),
      answered as (${answered}),
      appended as (insert into events (payment, version, type, data) select id, 3, 'OperationSucceeded', ${text} from settled)
      insert into outbox (payment, version) select id, 3 from settled`
  }
}

/** The two transactions of a hundred payments as one statement each. `base`: the number of the first payment. */
export const hundredOf = (base: string, text: string) => {
  const id = `lpad(to_hex(${base} + n), 32, '0')::uuid`
  return {
    intent: `with ids as materialized (select ${id} as id, 'order-' || (${base} + n) as key from generate_series(1, 100) n),
      claimed as (insert into idempotency (key, payment, fingerprint) select key, id, '${fingerprint}' from ids),
      begun as (insert into payments (id, tenant, status, version, amount, currency)
        select id, 'benchmark', 'processing', 2, 4990, 'EUR' from ids)
      insert into events (payment, version, type, data)
        select ids.id, e.version, e.type, ${text}
        from ids, (values (1, 'PaymentCreated'), (2, 'OperationIntended')) e(version, type)`,
    outcome: `with ids as materialized (select ${id} as id, 'order-' || (${base} + n) as key from generate_series(1, 100) n),
      settled as (update payments p set status = 'succeeded', version = 3, updated_at = now() from ids
        where p.id = ids.id and p.version = 2 returning p.id),
      answered as (update idempotency i set response = '${response}' from ids where i.key = ids.key),
      appended as (insert into events (payment, version, type, data) select id, 3, 'OperationSucceeded', ${text} from settled)
      insert into outbox (payment, version) select id, 3 from settled`
  }
}

let last = 0

/** Identifiers of a new payment: a UUID of version 7, and a key. */
export const nextIds = (): { readonly id: string; readonly key: string } => {
  const time = Date.now().toString(16).padStart(12, "0")
  const random = randomBytes(10).toString("hex")
  last++
  return {
    id: `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(0, 3)}-8${random.slice(3, 6)}-${random.slice(6, 18)}`,
    key: `order-${process.pid}-${last}`
  }
}
