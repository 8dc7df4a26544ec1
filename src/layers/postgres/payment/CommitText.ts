/**
 * The text of the statement that commits.
 *
 * It is a chain of common table expressions, each joined to the one before it:
 *
 *     settings -> items -> gate -> claimed -> passed -> begun, advanced -> head -> commits, outbox, open operations
 *
 * Preparing a plan to run costs by its parts, more than the rows of a single payment do, so what a statement has no rows for is left out of it.
 * There are few forms, so that a connection soon has prepared them all: payments that begin, payments that go on, both, and everything.
 *
 * **Gotchas**: a connection keeps the plan that it made while the tables were still small: see `looked`. A plan that is kept does not know how
 * long the arrays are: what is joined to another array goes through a hash or was joined before it is looked up.
 */
import { nowMillis } from "./Rows.ts"

/** The columns of the statement's arrays, by what a row of them is, with their types. */
export const columns = {
  /** A commit. `last` is the place of its last event among those of all commits, from 1; `data` are its events. */
  items: {
    bucket: "int",
    id: "uuid",
    tenant: "text",
    expected: "int",
    version: "int",
    status: "text",
    view: "text",
    last: "int",
    data: "text"
  },
  /** The claim of a commit, in its place: null where it has none; with whom the payment is counted by where it begins. */
  claims: { claim_bucket: "int", key: "text", command: "text", operation: "int", fingerprint: "text", customer: "bigint" },
  /** What became open. `opened_at` is null where its intent is in this commit. */
  opened: { item: "int", operation: "int", gateway: "text", account: "text", kind: "text", status: "text", opened_at: "bigint" },
  closed: { item: "int", operation: "int" },
  moved: { item: "int", operation: "int", status: "text" },
  /** The lease of a commit, in its place: null where it has none. */
  leases: { lease_key: "text", lease_token: "bigint" }
} as const

export type Table = keyof typeof columns

/** What a statement has to be able to do. Where payments that are there make claims, their heads are locked before (`gate`). */
interface Abilities {
  readonly tables: ReadonlyArray<Table>
  readonly begins: boolean
  readonly continues: boolean
  readonly gate: boolean
}

const abilities = {
  /** New payments, each with its claim. */
  begin: { tables: ["items", "claims", "opened"], begins: true, continues: false, gate: false },
  /** Payments that are there, without claims, that open nothing. */
  settle: { tables: ["items", "closed"], begins: false, continues: true, gate: false },
  /** Both. */
  mixed: { tables: ["items", "claims", "opened", "closed"], begins: true, continues: true, gate: false },
  all: {
    tables: ["items", "claims", "opened", "closed", "moved", "leases"],
    begins: true,
    continues: true,
    gate: true
  }
} satisfies Record<string, Abilities>

/** A form of the statement. */
export type Form = keyof typeof abilities

interface Parameter {
  readonly table: Table
  readonly column: string
  readonly type: "int" | "bigint" | "uuid" | "text"
}

/** The parameters before the arrays: the lock timeout, the version of the events' schema, the ids of all events. */
const scalars = { lockTimeout: "$1::text", schemaVersion: "$2::smallint", eventIds: "$3::uuid[]" } as const
export const scalarCount = 3

/** The arrays of a form in the order of its parameters. */
const arraysOf = (form: Form): ReadonlyArray<Parameter> =>
  abilities[form].tables.flatMap((table) => Object.entries(columns[table]).map(([column, type]) => ({ table, column, type })))

export const arrays: { readonly [F in Form]: ReadonlyArray<Parameter> } = {
  begin: arraysOf("begin"),
  settle: arraysOf("settle"),
  mixed: arraysOf("mixed"),
  all: arraysOf("all")
}

/**
 * A relation that tables are joined to by their key. The planner takes a range of numbers for rare, so it looks each row up in the index.
 * Without it a plan made while a table is small reads the whole table, and is kept while the table grows.
 */
export const looked = (relation: string): string => `(select * from ${relation} where n between 1 and 1000000)`

const sameHead = "p.bucket = i.bucket and p.id = i.id"

/** The rows of arrays, as a relation `name` with their place `n`. */
const unnest = (form: Form, name: string, ...tables: ReadonlyArray<Table>): string => {
  const used = arrays[form].flatMap((array, index) =>
    tables.includes(array.table) ? [{ ...array, placeholder: `$${scalarCount + index + 1}::${array.type}[]` }] : []
  )
  return `unnest(${used.map(({ placeholder }) => placeholder).join(", ")}) with ordinality as ${name}(${used.map(({ column }) => column).join(", ")}, n)`
}

/** Heads, claims and what follows from them: who gets through. */
const through = (form: Form): ReadonlyArray<string> => {
  const { begins, continues, gate, tables } = abilities[form] as Abilities
  const has = (table: Table) => tables.includes(table)
  const items = unnest(form, "i", ...(["items", "claims", "leases"] as const).filter(has))
  // A single value is looked up for each row; "not exists" would be planned as a join, of the whole table while it is small.
  const fresh = `, case when i.expected = 0 then (select p.version from aegispay.payments p where ${sameHead} limit 1) is null else false end as fresh`
  const leased = ` where i.lease_key is null or exists (select from aegispay.locks l
    where l.key = i.lease_key and l.token = i.lease_token and l.expires_at > clock_timestamp())`
  const ready = gate
    ? " left join gate g on g.n = i.n, settings s where i.key is not null and (i.fresh or g.n is not null)"
    : ", settings s where i.fresh"
  const passed = has("claims") ? "passed" : "items"
  const ofHead = "i.n, i.bucket, i.id, i.expected, i.version, i.last, i.data"
  const heads = [
    ...(begins ? [`select ${ofHead}, s.at from ${passed} i, settings s where i.fresh`] : []),
    ...(continues ? ["select * from advanced"] : [])
  ]
  return [
    `items as materialized (select i.*${begins ? fresh : ""} from ${items}${has("leases") ? leased : ""})`,
    // All heads before any claim, in one order: two statements cannot each hold what the other waits for.
    ...(gate
      ? [
          `gate as materialized (select i.n from (select * from ${looked("items")} i where i.expected > 0 order by i.n) i, aegispay.payments p
  where ${sameHead} and p.version = i.expected for no key update of p)`
        ]
      : []),
    ...(has("claims")
      ? [
          `claimed as (insert into aegispay.claims as c (bucket, tenant, key, command, operation, fingerprint, payment_bucket, payment, claimed_at)
  select i.claim_bucket, i.tenant, i.key, i.command, i.operation, i.fingerprint, i.bucket, i.id, s.at
  from items i${ready} order by i.claim_bucket, i.tenant, i.key
  on conflict do nothing returning c.payment)`,
          `passed as materialized (select i.* from items i left join claimed c on c.payment = i.id
  where i.key is null or c.payment is not null order by i.n)`
        ]
      : []),
    ...(begins
      ? [
          `begun as (insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at, customer)
  select i.bucket, i.id, i.tenant, i.version, i.status, i.view, s.at, s.at, i.customer from ${passed} i, settings s where i.fresh)`
        ]
      : []),
    ...(continues
      ? [
          `advanced as (update aegispay.payments p set version = i.version, status = i.status, view = i.view,
    updated_at = greatest(p.updated_at, s.at)
  from ${looked(passed)} i, settings s where i.expected > 0 and ${sameHead} and p.version = i.expected
  returning ${ofHead}, p.updated_at as at)`
        ]
      : []),
    // A payment that begins has its head, or everything fails.
    `head as (${heads.join(" union all ")})`
  ]
}

/** What is written of those who got through. */
const written = (form: Form): ReadonlyArray<string> => {
  const { continues, tables } = abilities[form] as Abilities
  const has = (table: Table) => tables.includes(table)
  const ofHead = (table: "closed" | "moved") => `(select o.*, h.bucket, h.id from (select * from ${unnest(form, table, table)}) o
    join head h on h.n = o.item)`
  const sameOperation = "o.bucket = m.bucket and o.payment = m.id and o.operation = m.operation"
  return [
    `appended as (insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
  select h.id, h.at, s.position + h.last, h.bucket, h.expected + 1, ${scalars.schemaVersion},
    (${scalars.eventIds})[h.last - h.version + h.expected + 1 : h.last], h.data
  from head h, settings s)`,
    // Only whoever passed the gate of a payment makes its row, so nobody else makes it meanwhile.
    ...(continues
      ? [
          `moved_on as (update aegispay.outbox o set last_version = h.version from ${looked("head")} h
  where h.expected > 0 and o.bucket = h.bucket and o.payment = h.id returning o.payment)`
        ]
      : []),
    `queued as (insert into aegispay.outbox (bucket, payment, first_version, last_version, recorded_at)
  select h.bucket, h.id, h.expected + 1, h.version, h.at
  from head h${continues ? " where h.id not in (select payment from moved_on)" : ""})`,
    ...(has("opened")
      ? [
          `opened as (insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
  select h.bucket, h.id, o.operation, o.gateway, o.account, o.kind, o.status, coalesce(o.opened_at, h.at)
  from (select * from ${unnest(form, "opened", "opened")}) o join head h on h.n = o.item)`
        ]
      : []),
    ...(has("closed")
      ? [
          `closing as materialized ${ofHead("closed")}`,
          `closed as (delete from aegispay.open_operations o using ${looked("closing")} m where ${sameOperation})`
        ]
      : []),
    ...(has("moved")
      ? [
          `moving as materialized ${ofHead("moved")}`,
          `moved as (update aegispay.open_operations o set status = m.status from ${looked("moving")} m where ${sameOperation})`
        ]
      : [])
  ]
}

// A host's transaction may hold several statements, whose events must not have one position; another transaction has one statement.
const textOf = (form: Form): string => {
  const settings = `settings as materialized (select ${nowMillis} as at,
    ((pg_current_xact_id()::text::bigint + aegispay.position_base()) << 20) + case when ${scalars.lockTimeout} = '' then
      set_config('aegispay.appended', (coalesce(nullif(current_setting('aegispay.appended', true), ''), '0')::bigint
        + cardinality(${scalars.eventIds}))::text, true)::bigint - cardinality(${scalars.eventIds}) else 0 end as position,
    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then set_config('synchronous_commit', 'on', true) end,
    case when ${scalars.lockTimeout} <> '' then set_config('lock_timeout', ${scalars.lockTimeout}, true) end)`
  return `with ${[settings, ...through(form), ...written(form)].join(",\n")}\nselect n, at as recorded_at from head`
}

/** The statement's text in each form. */
export const texts: { readonly [F in Form]: string } = {
  begin: textOf("begin"),
  settle: textOf("settle"),
  mixed: textOf("mixed"),
  all: textOf("all")
}
