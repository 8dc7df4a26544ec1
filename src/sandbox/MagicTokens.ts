/**
 * The magic tokens of the sandbox: what a token makes a charge, or a later operation on it, do.
 *
 * This table is data. The simulator behaves by it, the documentation prints it and the tests walk over it, so the three cannot
 * disagree. A token has an outcome (what the PSP decides) and may have a fault (what happens to the request or to the answer on
 * its way). A fault of kind `before` happens before the PSP looks at the request and its key; nothing is executed. A fault of
 * kind `after` happens once, to the answer of the request that was executed; a replay of the key is answered normally.
 */

/** What the PSP decides about a charge made with the token. */
export type Outcome =
  | "success"
  | "declined"
  | "declined_open"
  | "requires_action"
  | "requires_action_fails"
  | "pending_success"
  | "pending_failure"

/** Faults that keep the request from being executed (now, or at all). */
export type FaultBefore = "timeout_before" | "reset_before" | "5xx_before" | "rate_limited" | "configuration" | "conflict" | "late"

/** Faults that hit the answer of a request that was executed. */
export type FaultAfter = "timeout_after" | "reset_after" | "5xx_after" | "garbage" | "huge_body" | "redirect" | "slow"

export type Fault = FaultBefore | FaultAfter

/** What is wrong in the answer to the charge; the charge itself and every later read are right. */
export type Distortion = "wrong_amount" | "wrong_currency"

/** How later operations on the charge misbehave. */
export type LaterTrouble =
  | "capture_fails"
  | "capture_pending"
  | "void_fails"
  | "void_pending"
  | "refund_fails"
  | "refund_fails_later"
  | "refund_pending"
  | "refund_pending_failure"

export type OperationKind = "charge" | "confirm" | "capture" | "void" | "refund"

/** The orchestrator's category of a decline, so that tests can compare; the wire never carries it. */
export type Category =
  | "soft"
  | "hard"
  | "fraud"
  | "authentication_required"
  | "invalid_data"
  | "gateway_error"
  | "rate_limited"
  | "configuration"

/** Why the PSP refused, as it stands in `error` and in `failure`. */
export interface Failure {
  readonly type: string
  readonly code: string
  readonly declineCode?: string
  readonly message: string
}

export interface MagicToken {
  readonly token: string
  readonly outcome: Outcome
  /** The refusal, for outcomes that decline or fail. */
  readonly failure?: Failure
  readonly category?: Category
  readonly fault?: Fault
  /** Which operation the fault hits; the charge itself when absent. */
  readonly faultOn?: OperationKind
  /** The fault hits only the first request with a key; a replay of that key is processed. */
  readonly once?: boolean
  readonly distortion?: Distortion
  readonly later?: LaterTrouble
  /** What the caller sees on `POST /charges` (or on the operation named by `faultOn`). */
  readonly answer: string
  /** Whether money moved (or was reserved) when that request ended. */
  readonly executed: "yes" | "no" | "later"
  readonly summary: string
}

const card = (declineCode: string, message: string): Failure => ({
  type: "card_error",
  code: "card_declined",
  declineCode,
  message
})

/** The refusal of each outcome that is not tied to a token of its own. */
export const failures = {
  insufficientFunds: card("insufficient_funds", "The card has insufficient funds."),
  stolenCard: card("stolen_card", "The card was reported stolen."),
  fraudulent: card("fraudulent", "The payment was refused as fraudulent."),
  authenticationRequired: card("authentication_required", "The issuer asks for authentication of the customer."),
  authenticationFailed: card("authentication_failed", "The customer did not pass authentication."),
  invalidExpiry: card("invalid_expiry", "The expiry date of the card is invalid."),
  processorUnavailable: {
    type: "processing_error",
    code: "processor_unavailable",
    message: "The processor refused the request for a technical reason; nothing was charged."
  },
  captureFailed: { type: "processing_error", code: "capture_failed", message: "The capture was refused." },
  voidFailed: { type: "processing_error", code: "void_failed", message: "The void was refused." },
  refundRefused: { type: "processing_error", code: "refund_refused", message: "The refund was refused." },
  refundFailed: { type: "processing_error", code: "refund_failed", message: "The refund was returned by the issuer." }
} as const satisfies Record<string, Failure>

const success = (token: string, row: Partial<MagicToken> & Pick<MagicToken, "answer" | "summary">): MagicToken => ({
  token,
  outcome: "success",
  executed: "yes",
  ...row
})

const declined = (token: string, category: Category, failure: Failure, summary: string): MagicToken => ({
  token,
  outcome: "declined",
  failure,
  category,
  answer: "402",
  executed: "no",
  summary
})

const declines: ReadonlyArray<MagicToken> = [
  declined("tok_declined_soft", "soft", failures.insufficientFunds, "Declined: insufficient funds."),
  declined("tok_declined_hard", "hard", failures.stolenCard, "Declined: stolen card."),
  declined("tok_fraud", "fraud", failures.fraudulent, "Declined: fraud."),
  declined(
    "tok_authentication_required",
    "authentication_required",
    failures.authenticationRequired,
    "Declined: the issuer asks for a step-up. With `step_up` (and the customer present) it is `requires_action`, like `tok_3ds`."
  ),
  declined("tok_invalid_data", "invalid_data", failures.invalidExpiry, "Declined: the data of the card is invalid."),
  declined("tok_gateway_error", "gateway_error", failures.processorUnavailable, "An explicit technical refusal."),
  {
    ...declined(
      "tok_card_declined_open",
      "soft",
      failures.insufficientFunds,
      "Declined, but the charge stays `requires_payment_method`: the customer's page can complete it until it is voided."
    ),
    outcome: "declined_open"
  }
]

const refusals: ReadonlyArray<MagicToken> = [
  success("tok_rate_limited", {
    fault: "rate_limited",
    category: "rate_limited",
    answer: "429 with Retry-After: 1",
    executed: "no",
    summary: "Refused before the key is looked at."
  }),
  success("tok_configuration", {
    fault: "configuration",
    category: "configuration",
    answer: "403",
    executed: "no",
    summary: "The account may not do this."
  }),
  success("tok_conflict", {
    fault: "conflict",
    answer: "409 key_in_use",
    executed: "no",
    summary: "Says that the key is in use."
  })
]

const asynchronous: ReadonlyArray<MagicToken> = [
  {
    token: "tok_3ds",
    outcome: "requires_action",
    answer: "201 requires_action",
    executed: "later",
    summary: "Executed by confirm or by the customer's page. With `off_session` it is declined: authentication_required."
  },
  {
    token: "tok_3ds_fails",
    outcome: "requires_action_fails",
    failure: failures.authenticationFailed,
    category: "authentication_required",
    answer: "201 requires_action",
    executed: "no",
    summary: "Fails after confirm or after the customer's page."
  },
  {
    token: "tok_pending_success",
    outcome: "pending_success",
    answer: "201 pending",
    executed: "later",
    summary: "Succeeds after the settle delay; webhook, and visible by GET."
  },
  {
    token: "tok_pending_failure",
    outcome: "pending_failure",
    failure: failures.insufficientFunds,
    category: "soft",
    answer: "201 pending",
    executed: "no",
    summary: "Fails after the settle delay; webhook, and visible by GET."
  }
]

interface FaultRow {
  readonly fault: Fault
  readonly answer: string
  readonly executed: "yes" | "no" | "later"
  readonly summary: string
}

const noAnswer = "none: held until the caller leaves or the bound"
const faultRows: ReadonlyArray<FaultRow> = [
  { fault: "timeout_before", answer: noAnswer, executed: "no", summary: "Never executed." },
  { fault: "timeout_after", answer: noAnswer, executed: "yes", summary: "Executed, never answered." },
  { fault: "reset_before", answer: "connection reset", executed: "no", summary: "Reset, never executed." },
  { fault: "reset_after", answer: "connection reset", executed: "yes", summary: "Executed, then reset." },
  { fault: "5xx_before", answer: "500", executed: "no", summary: "Fails without executing." },
  { fault: "5xx_after", answer: "500", executed: "yes", summary: "Executed, then answered as failed." }
]

const faults: ReadonlyArray<MagicToken> = [
  ...faultRows.map(({ fault, ...row }) => success(`tok_${fault}`, { fault, ...row })),
  ...faultRows
    .filter((row) => row.executed === "no")
    .map(({ fault, ...row }) =>
      success(`tok_${fault}_once`, {
        fault,
        once: true,
        ...row,
        summary: "On the first send of a key only, in front of the PSP (nothing is stored); a replay is processed."
      })
    ),
  success("tok_slow", { fault: "slow", answer: "201 after the slow delay", summary: "The key is in use meanwhile." }),
  success("tok_garbage", { fault: "garbage", answer: "200 with HTML", summary: "Executed, unreadable answer." }),
  success("tok_huge_body", { fault: "huge_body", answer: "201 with more than 1 MiB", summary: "Executed." }),
  success("tok_redirect", {
    fault: "redirect",
    answer: "307",
    summary: "Executed; a client that follows the redirect executes a second charge."
  }),
  success("tok_late", {
    fault: "late",
    once: true,
    answer: noAnswer,
    executed: "later",
    summary: "Executed the late delay after the caller left. A replay of the key is processed at once and overtakes it."
  }),
  success("tok_wrong_amount", {
    distortion: "wrong_amount",
    answer: "201, amount one too high",
    summary: "Executed correctly; only the answer is wrong."
  }),
  success("tok_wrong_currency", {
    distortion: "wrong_currency",
    answer: "201, another currency",
    summary: "Executed correctly; only the answer is wrong."
  })
]

const later: ReadonlyArray<MagicToken> = [
  success("tok_capture_fails", { later: "capture_fails", answer: "201", summary: "Its captures answer 402." }),
  success("tok_capture_pending", {
    later: "capture_pending",
    answer: "201",
    summary:
      "Its captures answer pending and become succeeded after the settle delay; webhook. Nothing else is captured or voided meanwhile."
  }),
  success("tok_void_fails", { later: "void_fails", answer: "201", summary: "Its voids answer 402." }),
  success("tok_void_pending", {
    later: "void_pending",
    answer: "201",
    summary:
      "Voids of its authorization answer pending and become succeeded after the settle delay; webhook. Nothing is captured meanwhile."
  }),
  success("tok_refund_fails", { later: "refund_fails", answer: "201", summary: "Its refunds answer 402." }),
  success("tok_refund_fails_later", {
    later: "refund_fails_later",
    answer: "201",
    summary: "Its refunds answer succeeded and become failed after the settle delay; webhook."
  }),
  success("tok_refund_pending", {
    later: "refund_pending",
    answer: "201",
    summary: "Its refunds answer pending and become succeeded after the settle delay; webhook."
  }),
  success("tok_refund_pending_failure", {
    later: "refund_pending_failure",
    answer: "201",
    summary: "Its refunds answer pending and become failed after the settle delay; webhook."
  })
]

const laterKinds = ["confirm", "capture", "void", "refund"] as const

/** `tok_<operation>_<fault>`: the charge goes through (for confirm: asks for an action), the operation meets the fault. */
const laterFaults: ReadonlyArray<MagicToken> = laterKinds.flatMap((kind) =>
  faultRows.map(({ fault, ...row }): MagicToken => ({
    token: `tok_${kind}_${fault}`,
    outcome: kind === "confirm" ? "requires_action" : "success",
    fault,
    faultOn: kind,
    ...row
  }))
)

/** Every magic token, in the order of the documentation. */
export const magicTokens: ReadonlyArray<MagicToken> = [
  success("tok_success", { answer: "201", summary: "Succeeds (manual capture: authorized)." }),
  ...declines,
  ...refusals,
  ...asynchronous,
  ...faults,
  ...later,
  ...laterFaults
]

const byToken: ReadonlyMap<string, MagicToken> = new Map(magicTokens.map((row) => [row.token, row]))

/** The row of a token, or `undefined` for a token that the sandbox does not know. */
export const find = (token: string): MagicToken | undefined => byToken.get(token)

/** The fault that the token holds for an operation of this kind. */
export const faultFor = (row: MagicToken, kind: OperationKind): Fault | undefined =>
  (row.faultOn ?? "charge") === kind ? row.fault : undefined

/** The table as Markdown, as it stands in docs/sandbox.md. */
export const toMarkdown = (): string => {
  const rows = magicTokens
    .filter((row) => row.faultOn === undefined)
    .map((row) => `| \`${row.token}\` | ${row.answer} | ${row.executed} | ${row.category ?? ""} | ${row.summary} |`)
  const names = laterKinds.join(", ")
  const pattern = faultRows.map((row) => `\`${row.fault}\``).join(", ")
  return [
    "| token | answer to the charge | executed | category | what happens |",
    "|---|---|---|---|---|",
    ...rows,
    "",
    `And \`tok_<operation>_<fault>\` with an operation of ${names} and a fault of ${pattern}: the charge goes through`,
    "(`confirm`: it asks for an action first) and that operation on it meets the fault."
  ].join("\n")
}
