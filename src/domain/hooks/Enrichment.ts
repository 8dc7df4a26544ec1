/**
 * What an enrichment may add to a payment, and what it must not touch.
 *
 * Only what describes a payment can be enriched: metadata, the customer's country, the descriptors of the method. What is charged, to whom,
 * with what and under which key is protected: an enrichment that names a protected field is refused as a whole.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Metadata, type PaymentDetails } from "../payment/Event.ts"
import { CountryCode, looksLikeCardNumber, methodAttributes } from "../payment/PaymentMethod.ts"
import type { HookName } from "./HookKind.ts"
import type { EnrichedField } from "./Records.ts"

const { bin, brand, fingerprint, funding } = methodAttributes
const country = Schema.optionalKey(CountryCode)

/** What an enrichment adds. `method.fingerprint`: only where the request has none, because the retry caps count by it. */
export const Enrichment = Schema.Struct({
  metadata: Schema.optionalKey(Metadata),
  customer: Schema.optionalKey(Schema.Struct({ country })),
  method: Schema.optionalKey(Schema.Struct({ brand, funding, bin, country, fingerprint }))
})
export type Enrichment = typeof Enrichment.Type

/** Adds nothing. */
export const nothing: Enrichment = {}

/** NUL, and half a surrogate pair. */
const noStoreTakes = /\0|\p{Surrogate}/u

const decode = Schema.decodeUnknownResult(Enrichment)

const enrichable: { readonly [part: string]: ReadonlySet<string> | undefined } = {
  customer: new Set(["country"]),
  method: new Set(["brand", "funding", "bin", "country", "fingerprint"])
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The fields of an answer that no enrichment may set, by name. */
const protectedIn = (answer: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Object.keys(answer).flatMap((part) => {
    if (part === "metadata") return []
    const allowed = Object.hasOwn(enrichable, part) ? enrichable[part] : undefined
    const given = answer[part]
    if (allowed === undefined) return [part]
    return isRecord(given)
      ? Object.keys(given)
          .filter((field) => !allowed.has(field))
          .map((field) => `${part}.${field}`)
      : []
  })

/** What one enrichment sets on a payment, or why its answer is refused: the whole of it, for one field that it must not set. */
export const judge = (details: PaymentDetails, hook: HookName, answer: unknown): Result.Result<ReadonlyArray<EnrichedField>, string> => {
  if (!isRecord(answer)) return Result.fail("the answer is no enrichment")
  const refused = protectedIn(answer)
  if (refused.length > 0) return Result.fail(`the fields ${refused.slice(0, 8).join(", ").slice(0, 200)} are protected`)
  const decoded = decode(answer)
  if (Result.isFailure(decoded)) return Result.fail(`the answer is no enrichment: ${decoded.failure.message}`.slice(0, 300))
  const { customer, metadata, method } = decoded.success
  const { fingerprint } = details.method
  if (method?.fingerprint !== undefined && fingerprint !== undefined && method.fingerprint !== fingerprint)
    return Result.fail("method.fingerprint is protected where the request has one: the retry caps count by it")
  const fields = [
    ...fieldsOf(hook, "metadata", details.metadata, metadata),
    ...fieldsOf(hook, "customer", details.customer, customer),
    ...fieldsOf(hook, "method", details.method, method)
  ]
  const unfit = fields.find(({ to }) => looksLikeCardNumber(to) || noStoreTakes.test(to))
  if (unfit !== undefined) return Result.fail(`${unfit.field} holds a card number, a NUL or half a surrogate pair`)
  return Object.keys(apply(details, fields).metadata).length > maxMetadata
    ? Result.fail(`the payment would have more than ${maxMetadata} keys of metadata`)
    : Result.succeed(fields)
}

/** As many as a request may have. */
const maxMetadata = 50

const textOf = (values: object | undefined, name: string): string | undefined => {
  const value: unknown = values !== undefined && Object.hasOwn(values, name) ? (values as Record<string, unknown>)[name] : undefined
  return typeof value === "string" ? value : undefined
}

const fieldsOf = (hook: HookName, part: string, before: object | undefined, given: object | undefined): ReadonlyArray<EnrichedField> =>
  Object.keys(given ?? {}).flatMap((name) => {
    const to = textOf(given, name)
    const from = textOf(before, name)
    return to === undefined || to === from ? [] : [{ hook, field: `${part}.${name}`, ...(from === undefined ? {} : { from }), to }]
  })

/** The details with these fields set. Later ones override earlier ones. */
export const apply = (details: PaymentDetails, fields: ReadonlyArray<EnrichedField>): PaymentDetails => {
  if (fields.length === 0) return details
  const metadata = setIn(fields, "metadata.")
  const customer = setIn(fields, "customer.")
  const method = setIn(fields, "method.")
  return {
    ...details,
    metadata: { ...details.metadata, ...metadata },
    method: { ...details.method, ...method },
    ...(Object.keys(customer).length === 0 ? {} : { customer: { ...details.customer, ...customer } })
  }
}

const setIn = (fields: ReadonlyArray<EnrichedField>, prefix: string): Record<string, string> =>
  Object.fromEntries(fields.filter(({ field }) => field.startsWith(prefix)).map(({ field, to }) => [field.slice(prefix.length), to]))

/** What is recorded of several enrichments: one entry for each field, with what the request had and what stands there now. */
export const merged = (fields: ReadonlyArray<EnrichedField>): ReadonlyArray<EnrichedField> => {
  const last = new Map<string, EnrichedField>()
  for (const set of fields) {
    const first = last.get(set.field)
    const from = first === undefined ? set.from : first.from
    const { from: _from, ...rest } = set
    last.set(set.field, from === undefined ? rest : { ...rest, from })
  }
  return [...last.values()].filter(({ from, to }) => from !== to)
}
