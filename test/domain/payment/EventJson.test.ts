/**
 * The text of an event that is stored: what the event's schema encodes, to the byte, and refused whenever the schema refuses it.
 */
import "effect/schema/SchemaJITCompiler/enable"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Intent } from "../../../src/domain/operation/Operation.ts"
import * as Event from "../../../src/domain/payment/Event.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { methodAttributes, Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { RoutingDecision } from "../../../src/domain/routing/Decision.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import { randomPayment } from "../../support/randomPayments.ts"
import { decide } from "../../support/routing.ts"

/** What the schema makes of it, in two steps and with every check it has. */
const reference = (event: Event.PaymentEvent): string | undefined => {
  const encoded = Event.encode(event)
  if (Result.isFailure(encoded)) return undefined
  const { _tag: _type, ...data } = encoded.success
  return JSON.stringify(data)
}

const text = (event: Event.PaymentEvent): string | undefined => JSON.stringify(Result.getOrUndefined(Event.toData(event)))

const same = (event: Event.PaymentEvent): string => {
  const stored = text(event)
  assert.strictEqual(stored, reference(event))
  if (stored === undefined) return assert.fail(`a ${event._tag} is refused`)
  return stored
}

const survives = (event: Event.PaymentEvent): void => {
  const decoded = Event.decode({ type: event._tag, schemaVersion: Event.schemaVersion, data: JSON.parse(same(event)) })
  assert.deepStrictEqual(throughJson(Result.getOrThrow(decoded)), throughJson(event))
}

/** -0 and 0 are one number in JSON. */
const throughJson = (event: Event.PaymentEvent): unknown =>
  JSON.parse(JSON.stringify(event, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value)))

/** Every value within, with where it stands. */
const places = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<ReadonlyArray<string>> =>
  typeof value !== "object" || value === null
    ? [path]
    : [path, ...Object.entries(value).flatMap(([name, inner]) => places(inner, [...path, name]))]

/** The event with another value in one place. */
const replaced = (value: unknown, [name, ...rest]: ReadonlyArray<string>, other: unknown): unknown => {
  if (name === undefined) return other
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === name ? replaced(item, rest, other) : item))
  const fields = value as Readonly<Record<string, unknown>>
  return { ...fields, [name]: replaced(fields[name], rest, other) }
}

const wrongs: ReadonlyArray<unknown> = [
  Number.NaN,
  Infinity,
  -1,
  0.5,
  1e21,
  10n ** 19n,
  -5n,
  "",
  "4242 4242 4242 4242",
  "x".repeat(2_100),
  "\ud800",
  null,
  undefined,
  {},
  [],
  Array.from({ length: 70 }, () => "a"),
  true
]

/** The fields of an object the other way round, at any depth. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reversed(inner)])
  )
}

/** Keys are chosen here: hardly any text that is made at random is one. */
const Method = Schema.Struct({ ...methodAttributes, token: Token })
const References = Schema.Array(Schema.Tuple([GatewayName, Token])).check(Schema.isMaxLength(5))
const Entries = Schema.Array(Schema.Tuple([Schema.Literals(["order", "__proto__", "1", "0", "a.b", "toJSON"]), Schema.String])).check(
  Schema.isMaxLength(6)
)
const { metadata: _metadata, method: _method, ...otherDetails } = Event.PaymentDetails.fields

/** Lives that have events of the usual types, and some of the others. */
const lives = Array.from({ length: 30 }, (_, seed) => randomPayment({ seed, commands: 40, lies: true }))

const decision = decide(
  {
    a: { samples: 1_234, successRate: 0.9871, level: "full" },
    b: { breaker: "half_open", health: 0.65 },
    c: { breaker: "open", health: 0 }
  },
  { policy: Policy.make({}) }
)

/** An event of each type that came up, with as much in it as any of them. */
const samples = (): ReadonlyArray<Event.PaymentEvent> => {
  const byType = new Map<string, Event.PaymentEvent>()
  for (const { history } of lives) {
    for (const { event } of history) {
      const known = byType.get(event._tag)
      if (known === undefined || places(event).length > places(known).length) byType.set(event._tag, event)
    }
  }
  return [...byType.values()].map((event) =>
    event._tag === "OperationIntended" ? { ...event, intent: { ...event.intent, decision } } : event
  )
}

describe("the text of an event", () => {
  for (const member of Event.PaymentEvent.members) {
    const type = member.fields._tag.schema.literal
    if (type === "PaymentInitiated") continue
    it.prop(`${type} is what its schema encodes, and is read back`, { event: Schema.toType(member) }, ({ event }) => survives(event), {
      arbitrary: { seed: 1, runs: 200 }
    })
  }

  it.prop(
    "PaymentInitiated is what its schema encodes, and is read back",
    { details: Schema.toType(Schema.Struct(otherDetails)), method: Method, references: References, entries: Entries },
    ({ details, entries, method, references }) => {
      const { token: _token, ...attributes } = method
      const byGateway = { ...attributes, references: Object.fromEntries(references) }
      const metadata = Object.fromEntries(entries)
      survives({ _tag: "PaymentInitiated", details: { ...details, method: references.length === 0 ? method : byGateway, metadata } })
    },
    { arbitrary: { seed: 2, runs: 500 } }
  )

  it.prop(
    "an intent with its decision is what its schema encodes, and is read back",
    { intent: Schema.toType(Intent), decision: RoutingDecision },
    ({ decision, intent }) => survives({ _tag: "OperationIntended", intent: { ...intent, decision } }),
    { arbitrary: { seed: 3, runs: 300 } }
  )

  it("has the schema's fields in the schema's order, whatever the event has", () => {
    for (const event of lives.flatMap(({ history }) => history.map((recorded) => recorded.event))) {
      const stored = same(event)
      assert.strictEqual(text(reversed(event) as Event.PaymentEvent), stored)
      assert.strictEqual(text(Object.assign({ more: 1 }, event)), stored)
    }
  })

  it("is refused whenever the schema refuses the event: nothing is stored that could not be read", () => {
    let refused = 0
    let taken = 0
    for (const event of samples()) {
      for (const place of places(event)) {
        for (const wrong of wrongs) {
          const broken = replaced(event, place, wrong) as Event.PaymentEvent
          const stored = text(broken)
          assert.strictEqual(stored, reference(broken), `${event._tag} ${place.join(".")}`)
          if (stored === undefined) refused += 1
          else {
            taken += 1
            assert.isTrue(Result.isSuccess(Event.decode({ type: broken._tag, schemaVersion: 1, data: JSON.parse(stored) })))
          }
        }
      }
    }
    assert.isAbove(refused, 1_000)
    assert.isAbove(taken, 100)
  })
})
