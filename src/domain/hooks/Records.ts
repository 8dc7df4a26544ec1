/**
 * What events keep of hooks: enriched fields, and findings about a payment that came to rest.
 */
import * as Schema from "effect/Schema"
import { HookName } from "./HookKind.ts"

/**
 * One field that an enrichment set, by whom, and what stood there before. `field`: `metadata.<key>`, `customer.country` or
 * `method.<descriptor>`.
 */
export const EnrichedField = Schema.Struct({
  hook: HookName,
  field: Schema.String.check(
    Schema.isPattern(/^(metadata\.[A-Za-z0-9_.-]{1,40}|customer\.country|method\.(brand|funding|bin|country|fingerprint))$/)
  ),
  from: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(500))),
  to: Schema.String.check(Schema.isMaxLength(500))
})
export type EnrichedField = typeof EnrichedField.Type

/** As many as there are: the most keys of metadata before and after, the customer's country and the descriptors of the method. */
export const maxEnrichedFields = 100

/** The most hooks of one kind, and so the most verdicts of one payment. */
export const maxHooksPerKind = 32
