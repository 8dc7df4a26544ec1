/**
 * Decodes the bodies of the sandbox's API into commands. Pure.
 *
 * Messages name the field and never repeat its value: a card number that was put where a token belongs must not come back in an
 * error, a log or the journal. Unknown fields are refused, so that a misspelt one is not silently ignored.
 */
import * as Result from "effect/Result"
import type { OperationKind } from "../MagicTokens.ts"
import type { Decision } from "../psp/Answer.ts"
import { invalid, refuse } from "../psp/Answer.ts"
import type { CallerCommand } from "../psp/Transitions.ts"

/** Largest amount: twelve digits, the length of the amount field of card messages (ISO 8583 field 4). */
export const maxAmount = 999_999_999_999

type Body = Readonly<Record<string, unknown>>
type Check = (value: unknown) => boolean

const isText =
  (max: number): Check =>
  (value) =>
    typeof value === "string" && value.length >= 1 && value.length <= max
const isAmount: Check = (value) => typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= maxAmount
const isBoolean: Check = (value) => typeof value === "boolean"
const isUrl: Check = (value) => typeof value === "string" && value.length <= 2048 && /^https?:\/\/[^\s]+$/.test(value)
const isMetadata: Check = (value) =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  Object.keys(value).length <= 20 &&
  Object.entries(value).every(([key, text]) => key.length <= 64 && typeof text === "string" && text.length <= 500)

interface Field {
  readonly check: Check
  readonly expected: string
  readonly required: boolean
}

const text: Field = { check: isText(255), expected: "a text of 1 to 255 characters", required: true }
const amount: Field = {
  check: isAmount,
  expected: `an integer number of minor units from 1 to ${maxAmount}`,
  required: true
}
const flag: Field = { check: isBoolean, expected: "true or false", required: false }

const fields = {
  charge: {
    amount,
    currency: {
      check: (value: unknown) => typeof value === "string" && /^[A-Z]{3}$/.test(value),
      expected: "three upper-case letters (ISO 4217)",
      required: true
    },
    token: text,
    capture: {
      check: (value: unknown) => value === "automatic" || value === "manual",
      expected: '"automatic" or "manual"',
      required: true
    },
    reference: text,
    payment: text,
    return_url: { check: isUrl, expected: "an http(s) URL of at most 2048 characters", required: false },
    off_session: flag,
    step_up: flag,
    metadata: {
      check: isMetadata,
      expected: "an object of at most 20 texts of at most 500 characters",
      required: false
    }
  },
  confirm: { reference: text },
  capture: { reference: text, amount: { ...amount, required: false }, final: flag },
  void: { reference: text },
  refund: { reference: text, amount },
  voidByReference: { reference: text, target_reference: text }
} as const satisfies Record<string, Record<string, Field>>

/** Whether a text is a card number: 13 to 19 digits, spaces and hyphens aside, that pass the Luhn check. */
export const isCardNumber = (value: string): boolean => {
  const digits = value.replace(/[\s-]/g, "")
  if (!/^\d{13,19}$/.test(digits)) return false
  let sum = 0
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index])
    const doubled = index % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

const cardNumber = invalid("token", "card_number_not_accepted", "Card numbers are not accepted; send a token.")

const checkBody = (body: Body, spec: Record<string, Field>): Decision | undefined => {
  const token = body["token"]
  if ((typeof token === "string" || typeof token === "number") && isCardNumber(String(token))) return cardNumber
  if (Object.keys(body).some((name) => !Object.hasOwn(spec, name))) {
    const allowed = Object.keys(spec).join(", ")
    return refuse(400, {
      type: "invalid_request_error",
      code: "unknown_field",
      message: `The body has an unknown field; allowed are ${allowed}.`
    })
  }
  for (const [name, field] of Object.entries(spec)) {
    const value = body[name]
    if (value === undefined ? field.required : !field.check(value)) {
      return invalid(name, value === undefined ? "missing_field" : "invalid_field", `${name} must be ${field.expected}.`)
    }
  }
  return undefined
}

/** Which request a body belongs to: an operation on a charge, or the void by reference. */
export type Target =
  | { readonly kind: "charge"; readonly baseUrl: string }
  | { readonly kind: Exclude<OperationKind, "charge">; readonly chargeId: string }
  | { readonly kind: "voidByReference" }

// The casts below are sound: `checkBody` has checked every field.
const toCommand = (target: Target, body: Body): CallerCommand => {
  const reference = body["reference"] as string
  switch (target.kind) {
    case "charge":
      return {
        _tag: "CreateCharge",
        amount: body["amount"] as number,
        currency: body["currency"] as string,
        token: body["token"] as string,
        capture: body["capture"] as "automatic" | "manual",
        reference,
        payment: body["payment"] as string,
        ...(body["return_url"] === undefined ? {} : { returnUrl: body["return_url"] as string }),
        offSession: body["off_session"] === true,
        stepUp: body["step_up"] === true,
        metadata: (body["metadata"] ?? {}) as Record<string, string>,
        baseUrl: target.baseUrl
      }
    case "confirm":
      return { _tag: "ConfirmCharge", chargeId: target.chargeId, reference }
    case "capture":
      return {
        _tag: "CaptureCharge",
        chargeId: target.chargeId,
        reference,
        ...(body["amount"] === undefined ? {} : { amount: body["amount"] as number }),
        final: body["final"] === true
      }
    case "void":
      return { _tag: "VoidCharge", chargeId: target.chargeId, reference }
    case "refund":
      return { _tag: "RefundCharge", chargeId: target.chargeId, reference, amount: body["amount"] as number }
    case "voidByReference":
      return { _tag: "VoidByReference", targetReference: body["target_reference"] as string, reference }
  }
}

/** Parses JSON text into an object, or `undefined`. */
export const parseObject = (text: string): Body | undefined => {
  const parsed = Result.try((): unknown => JSON.parse(text))
  return Result.isSuccess(parsed) && typeof parsed.success === "object" && parsed.success !== null && !Array.isArray(parsed.success)
    ? (parsed.success as Body)
    : undefined
}

/** The command in a body, together with the body's canonical form (sorted keys) for the idempotency fingerprint. */
export const decode = (
  target: Target,
  bodyText: string
): Result.Result<{ readonly command: CallerCommand; readonly canonical: string }, Decision> => {
  const body = parseObject(bodyText)
  if (body === undefined) {
    return Result.fail(
      refuse(400, {
        type: "invalid_request_error",
        code: "invalid_json",
        message: "The body is not a JSON object."
      })
    )
  }
  const wrong = checkBody(body, fields[target.kind])
  return wrong === undefined ? Result.succeed({ command: toCommand(target, body), canonical: canonical(body) }) : Result.fail(wrong)
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([left], [right]) => (left < right ? -1 : 1)))
      : part
  )
