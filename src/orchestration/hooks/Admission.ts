/**
 * What is taken in as a hook, and what is refused: all that a host got wrong is said when it registers, not with the first payment.
 *
 * What is taken in is a copy, so nothing that is done with the host's object later reaches the registry. `run` is called on the host's object.
 */
import * as Schema from "effect/Schema"
import { HookKind, HookName } from "../../domain/hooks/HookKind.ts"
import { PaymentEvent } from "../../domain/payment/Event.ts"
import { maxHooksPerKind } from "../../domain/hooks/Records.ts"
import * as Presets from "../../domain/Presets.ts"
import { type Hook, HookRefused } from "../../services/hooks/Hooks.ts"
import { type Entry, entryOf, type Registry } from "./Registry.ts"

const isName = Schema.is(HookName)
const isKind = Schema.is(HookKind)

const eventTypes: ReadonlySet<unknown> = new Set(PaymentEvent.members.map((member) => member.fields._tag.schema.literal))

/** What `onFailure` may say; of other kinds it says nothing. */
const onFailures: { readonly [Kind in HookKind]?: ReadonlyArray<unknown> } = {
  pre_validation: ["accept", "refuse"],
  fraud_check: ["allow", "block"]
}

const invalid = (hook: string, detail: string) => new HookRefused({ hook, reason: { _tag: "Invalid", detail } })

/** The hook as an entry, or why it cannot be one. */
export const admit = (registry: Registry, given: Hook): Entry | HookRefused => {
  // Whoever writes without types may give anything.
  const hook: unknown = given
  if (typeof hook !== "object" || hook === null) return invalid(`a ${typeof hook}`, "it is no object with kind, name and run")
  const { enabled = true, kind, name, priority = Presets.hooks.priority.value, run } = hook as { readonly [field: string]: unknown }
  if (!isName(name))
    return invalid(
      typeof name === "string" ? name : `a ${typeof name}`,
      "a name has 1 to 64 characters of a-z 0-9 - _ . and starts with a letter or digit"
    )
  if (!isKind(kind) || typeof run !== "function") return invalid(name, "it has no kind that exists, or no run")
  if (typeof priority !== "number" || !Number.isFinite(priority)) return invalid(name, "its priority is no number")
  if (typeof enabled !== "boolean") return invalid(name, "enabled is true or false")
  const { eachMillis, totalMillis } = registry.settings.limits[kind]
  const { timeoutMillis = Math.min(eachMillis, totalMillis) } = hook as { readonly [field: string]: unknown }
  if (!(typeof timeoutMillis === "number" && timeoutMillis > 0 && timeoutMillis <= totalMillis))
    return invalid(name, `its time limit has to be more than 0 and at most the ${totalMillis} ms that all ${kind} hooks have together`)
  const special = specialOf(kind, hook)
  if (typeof special === "string") return invalid(name, special)
  if (registry.byName.has(name)) return new HookRefused({ hook: name, reason: { _tag: "NameTaken" } })
  const ofKind = [...registry.byName.values()].filter((entry) => entry.hook.kind === kind)
  if (ofKind.length >= maxHooksPerKind) return new HookRefused({ hook: name, reason: { _tag: "Full", maximum: maxHooksPerKind } })
  // Input and answer of `run` are those of its kind: the type of `given` says so, and every answer is read as unknown.
  const taken = Object.freeze({ kind, name, ...special, run: (input: unknown): unknown => Reflect.apply(run, hook, [input]) })
  return entryOf(taken as unknown as Hook, { name, priority, timeoutMillis, enabled })
}

/** What only hooks of one kind have, or what is wrong with it. */
const specialOf = (kind: HookKind, hook: object): object | string => {
  const { eventTypes: wanted, onFailure } = hook as { readonly [field: string]: unknown }
  const meanings = onFailures[kind]
  if (meanings !== undefined && onFailure !== undefined)
    return meanings.includes(onFailure) ? { onFailure } : `onFailure is "${meanings.join('" or "')}"`
  if (kind !== "event_listener" || wanted === undefined) return {}
  return Array.isArray(wanted) && wanted.every((type) => eventTypes.has(type))
    ? { eventTypes: Object.freeze([...wanted]) }
    : "eventTypes is an array of types of events"
}
