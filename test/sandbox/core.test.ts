import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { failures, find, magicTokens, toMarkdown } from "../../src/sandbox/MagicTokens.ts"
import * as Options from "../../src/sandbox/Options.ts"
import * as Charges from "../../src/sandbox/psp/Charges.ts"
import * as Idempotency from "../../src/sandbox/psp/Idempotency.ts"
import * as Ledger from "../../src/sandbox/psp/Ledger.ts"
import * as PspState from "../../src/sandbox/psp/PspState.ts"
import { type Command, decide, transition } from "../../src/sandbox/psp/Transitions.ts"

const rules: PspState.Rules = {
  account: "a",
  leavesOpenAfterDecline: false,
  captures: "multiple",
  currencies: { EUR: 2 },
  price: { fixedMinor: 25, basisPoints: 140 },
  settleDelayMillis: 1_000,
  idempotencyWindowMillis: 10_000,
  maxEntries: 1_000,
  maxKeys: 3,
  maxPending: 2
}

const fresh = (changed: Partial<PspState.Rules> = {}) => PspState.initial({ ...rules, ...changed }, "t")

const create = (changed: Partial<Charges.CreateCharge> = {}): Charges.CreateCharge => ({
  _tag: "CreateCharge",
  amount: 1_000,
  currency: "EUR",
  token: "tok_success",
  capture: "automatic",
  reference: "r1",
  payment: "p1",
  offSession: false,
  stepUp: false,
  metadata: {},
  baseUrl: "http://x",
  ...changed
})

const only = (state: PspState.AccountState): PspState.Charge => {
  const charge = [...state.charges.values()].at(-1)
  assert.isDefined(charge)
  return charge
}

const kinds = (state: PspState.AccountState) => state.ledger.map((entry) => `${entry.kind} ${entry.amount}`)

describe("charges", () => {
  it("decide leaves the state as it is", () => {
    const state = fresh()
    assert.strictEqual(decide(state, create(), 5).answer.status, 201)
    assert.strictEqual(state.charges.size, 0)
    assert.strictEqual(state.ledger.length, 0)
  })

  it("takes the money of an automatic charge and reserves that of a manual one", () => {
    const state = fresh()
    transition(state, create(), 5)
    transition(state, create({ capture: "manual", reference: "r2" }), 6)
    assert.deepStrictEqual(kinds(state), ["charge 1000", "authorize 1000"])
    assert.deepStrictEqual(
      state.ledger.map((entry) => entry.seq),
      [1, 2]
    )
  })

  it("charges its price: fixed part plus basis points, half up", () => {
    assert.strictEqual(Charges.fee(rules, 0), 0)
    assert.strictEqual(Charges.fee(rules, 1_000), 25 + 14)
    assert.strictEqual(Charges.fee(rules, 1_036), 25 + 15) // 14.504
    assert.strictEqual(Charges.fee(rules, 999_999_999_999), 25 + 14_000_000_000)
  })

  it("a declined charge moves nothing, and is closed or open as the account says", () => {
    for (const leavesOpenAfterDecline of [false, true]) {
      const state = fresh({ leavesOpenAfterDecline })
      const { answer } = transition(state, create({ token: "tok_declined_soft" }), 5)
      assert.strictEqual(answer.status, 402)
      assert.strictEqual(only(state).status, leavesOpenAfterDecline ? "requires_payment_method" : "failed")
      assert.deepStrictEqual(kinds(state), [])
    }
  })

  it("a technical refusal never leaves a charge open", () => {
    const state = fresh({ leavesOpenAfterDecline: true })
    transition(state, create({ token: "tok_gateway_error" }), 5)
    assert.strictEqual(only(state).status, "failed")
  })

  it("an open declined charge is completed by the customer, or closed by a void", () => {
    for (const voided of [false, true]) {
      const state = fresh()
      transition(state, create({ token: "tok_card_declined_open" }), 5)
      const chargeId = only(state).id
      if (voided) {
        assert.strictEqual(transition(state, { _tag: "VoidCharge", chargeId, reference: "v1" }, 6).answer.status, 200)
      }
      const completed = transition(state, { _tag: "CustomerAction", chargeId, action: "complete" }, 7)
      assert.strictEqual(completed.answer.status, voided ? 409 : 200)
      assert.deepStrictEqual(kinds(state), voided ? [] : ["charge 1000"])
    }
  })

  it("the customer's page ends the first operation, and a later confirm adds no second charge", () => {
    const state = fresh()
    transition(state, create({ token: "tok_3ds" }), 5)
    const chargeId = only(state).id
    transition(state, { _tag: "CustomerAction", chargeId, action: "complete" }, 6)
    assert.strictEqual(state.operations.get(only(state).operationId)?.status, "succeeded")
    assert.strictEqual(transition(state, { _tag: "ConfirmCharge", chargeId, reference: "c1" }, 7).answer.status, 200)
    assert.deepStrictEqual(kinds(state), ["charge 1000"])
  })

  it("without the customer 3-D Secure is a decline that asks for authentication", () => {
    const state = fresh()
    const { answer } = transition(state, create({ token: "tok_3ds", offSession: true }), 5)
    assert.strictEqual(answer.status, 402)
    assert.strictEqual(only(state).failure?.declineCode, "authentication_required")
  })

  it("a step-up makes an action of the decline that asks for authentication, where the customer is present", () => {
    for (const [stepUp, offSession, status] of [
      [true, false, 201],
      [false, false, 402],
      [true, true, 402]
    ] as const) {
      const state = fresh()
      const { answer } = transition(state, create({ token: "tok_authentication_required", stepUp, offSession }), 5)
      assert.strictEqual(answer.status, status)
      assert.strictEqual(only(state).status, status === 201 ? "requires_action" : "failed")
      assert.deepStrictEqual(kinds(state), [])
    }
    const state = fresh()
    transition(state, create({ token: "tok_success", stepUp: true }), 5)
    assert.deepStrictEqual(kinds(state), ["charge 1000"])
  })

  it("a pending charge settles once, and not after a void", () => {
    const state = fresh()
    transition(state, create({ token: "tok_pending_success" }), 5)
    const chargeId = only(state).id
    assert.deepStrictEqual(PspState.waiting(state), [{ kind: "charge", id: chargeId, at: 1_005 }])
    transition(state, { _tag: "SettleCharge", chargeId }, 1_005)
    assert.strictEqual(transition(state, { _tag: "SettleCharge", chargeId }, 1_006).answer.status, 409)
    assert.deepStrictEqual(kinds(state), ["charge 1000"])

    transition(state, create({ token: "tok_pending_success", reference: "r2" }), 2_000)
    const second = only(state).id
    transition(state, { _tag: "VoidCharge", chargeId: second, reference: "v2" }, 2_001)
    assert.strictEqual(transition(state, { _tag: "SettleCharge", chargeId: second }, 3_000).answer.status, 409)
    assert.strictEqual(state.pending, 0)
    assert.deepStrictEqual(kinds(state), ["charge 1000"])
  })

  it("refuses what its bounds forbid", () => {
    const state = fresh({ maxEntries: 2 })
    assert.strictEqual(transition(state, create(), 1).answer.status, 201)
    assert.strictEqual(transition(state, create(), 2).answer.status, 201)
    assert.strictEqual(transition(state, create(), 3).answer.status, 503)
    const refund: Command = { _tag: "RefundCharge", chargeId: only(state).id, reference: "f", amount: 1 }
    assert.strictEqual(transition(state, refund, 4).answer.status, 201)
    assert.strictEqual(transition(state, refund, 5).answer.status, 201)
    assert.strictEqual(transition(state, refund, 6).answer.status, 503)

    const pending = fresh()
    for (const expected of [201, 201, 503]) {
      assert.strictEqual(transition(pending, create({ token: "tok_pending_success" }), 1).answer.status, expected)
    }
  })

  it("its clock does not run backwards", () => {
    const state = fresh()
    transition(state, create(), 100)
    transition(state, create(), 50)
    assert.deepStrictEqual(
      state.ledger.map((entry) => entry.at),
      [100, 100]
    )
  })
})

describe("captures, voids and refunds", () => {
  const authorized = (changed: Partial<PspState.Rules> = {}, token = "tok_success") => {
    const state = fresh(changed)
    transition(state, create({ capture: "manual", token }), 1)
    return { state, chargeId: only(state).id }
  }

  it("captures several times up to the authorized amount", () => {
    const { chargeId, state } = authorized()
    const capture = (amount: number, final = false) =>
      transition(state, { _tag: "CaptureCharge", chargeId, reference: "c", amount, final }, 2).answer.status
    assert.deepStrictEqual([capture(400), capture(601), capture(600), capture(1)], [200, 400, 200, 409])
    assert.strictEqual(only(state).captured, 1_000)
    assert.strictEqual(only(state).status, "succeeded")
  })

  it("a single or final capture releases the rest", () => {
    for (const [captures, final] of [
      ["single", false],
      ["multiple", true]
    ] as const) {
      const { chargeId, state } = authorized({ captures })
      transition(state, { _tag: "CaptureCharge", chargeId, reference: "c", amount: 400, final }, 2)
      assert.strictEqual(only(state).closed, true)
      assert.strictEqual(transition(state, { _tag: "CaptureCharge", chargeId, reference: "d", final: false }, 3).answer.status, 409)
    }
  })

  it("a void releases what is reserved; of a captured charge nothing is left to void", () => {
    const { chargeId, state } = authorized()
    transition(state, { _tag: "CaptureCharge", chargeId, reference: "c", amount: 400, final: false }, 2)
    assert.strictEqual(transition(state, { _tag: "VoidCharge", chargeId, reference: "v" }, 3).answer.status, 200)
    assert.deepStrictEqual(kinds(state), ["authorize 1000", "capture 400", "void 600"])
    assert.strictEqual(transition(state, { _tag: "VoidCharge", chargeId, reference: "w" }, 4).answer.status, 200, "it is over already")
    assert.lengthOf(kinds(state), 3)
    const other = authorized()
    transition(other.state, { _tag: "CaptureCharge", chargeId: other.chargeId, reference: "c", amount: 1_000, final: false }, 2)
    assert.strictEqual(transition(other.state, { _tag: "VoidCharge", chargeId: other.chargeId, reference: "w" }, 4).answer.status, 409)
  })

  it("an authorization lapses at its time, with what is left of it; not what is captured or voided before", () => {
    const validity = { authorizationValidityMillis: 100 }
    const state = fresh(validity)
    transition(state, create({ capture: "manual" }), 1)
    const chargeId = only(state).id
    assert.deepStrictEqual(PspState.waiting(state), [{ kind: "hold", id: chargeId, at: 101 }])
    const lapse = { _tag: "LapseHold", chargeId } as const
    assert.strictEqual(decide(state, lapse, 100).change, undefined, "not before")
    transition(state, { _tag: "CaptureCharge", chargeId, reference: "c", amount: 400, final: false }, 50)
    const { change } = transition(state, lapse, 101)
    assert.deepStrictEqual(kinds(state), ["authorize 1000", "capture 400", "void 600"])
    assert.deepStrictEqual(
      change?.events.map(({ type }) => type),
      ["charge.expired"]
    )
    assert.deepInclude(only(state), { status: "succeeded", released: true, closed: true })
    assert.lengthOf(PspState.waiting(state), 0)
    assert.strictEqual(decide(state, lapse, 500).change, undefined, "once")
    assert.strictEqual(transition(state, { _tag: "VoidCharge", chargeId, reference: "v" }, 102).answer.status, 200)
    assert.lengthOf(kinds(state), 3)

    for (const end of [{ _tag: "CaptureCharge", reference: "c", final: false } as const, { _tag: "VoidCharge", reference: "v" } as const]) {
      const other = fresh(validity)
      transition(other, create({ capture: "manual" }), 1)
      transition(other, { ...end, chargeId: only(other).id }, 2)
      assert.lengthOf(PspState.waiting(other), 0)
      assert.strictEqual(decide(other, { _tag: "LapseHold", chargeId: only(other).id }, 500).change, undefined)
    }
    const never = fresh()
    transition(never, create({ capture: "manual" }), 1)
    assert.lengthOf(PspState.waiting(never), 0)
  })

  for (const [kind, token, ends] of [
    ["capture", "tok_capture_pending", "capture 1000"],
    ["void", "tok_void_pending", "void 1000"]
  ] as const) {
    it(`a ${kind} that is pending moves nothing until it settles, and keeps everything else out`, () => {
      const state = fresh()
      transition(state, create({ capture: "manual", token }), 1)
      const chargeId = only(state).id
      const commands = {
        capture: { _tag: "CaptureCharge", chargeId, reference: "x", final: true },
        void: { _tag: "VoidCharge", chargeId, reference: "x" }
      } as const
      const { answer } = transition(state, commands[kind], 2)
      assert.strictEqual((answer.body["operation"] as { readonly status: string }).status, "pending")
      assert.deepStrictEqual(kinds(state), ["authorize 1000"])
      for (const other of [commands.capture, commands.void]) {
        assert.strictEqual(decide(state, { ...other, reference: "y" }, 3).answer.status, 409)
      }
      assert.strictEqual(decide(state, { _tag: "VoidByReference", targetReference: "r1", reference: "z" }, 3).answer.status, 409)
      const [timer] = PspState.waiting(state)
      assert.deepStrictEqual(timer, { kind: "charge", id: chargeId, at: 1_002 })
      transition(state, { _tag: "SettleCharge", chargeId }, 1_002)
      assert.deepStrictEqual(kinds(state), ["authorize 1000", ends])
      assert.strictEqual(state.operations.get((answer.body["operation"] as { readonly id: string }).id)?.status, "succeeded")
      assert.strictEqual(state.pending, 0)
      assert.strictEqual(decide(state, { _tag: "SettleCharge", chargeId }, 1_003).change, undefined)
    })
  }

  it("a refund is refused, or pending and then failed, with nothing given back", () => {
    const refused = fresh()
    transition(refused, create({ token: "tok_refund_fails" }), 1)
    const refund = { _tag: "RefundCharge", reference: "f", amount: 600 } as const
    assert.strictEqual(transition(refused, { ...refund, chargeId: only(refused).id }, 2).answer.status, 402)
    assert.deepStrictEqual([only(refused).refunded, kinds(refused)], [0, ["charge 1000"]])
    const state = fresh()
    transition(state, create({ token: "tok_refund_pending_failure" }), 1)
    transition(state, { ...refund, chargeId: only(state).id }, 2)
    assert.deepStrictEqual([...state.refunds.values()][0]?.status, "pending")
    const [timer] = PspState.waiting(state)
    transition(state, { _tag: "SettleRefund", refundId: timer?.id ?? "" }, 1_002)
    assert.deepStrictEqual([...state.refunds.values()][0]?.status, "failed")
    assert.deepStrictEqual([only(state).refunded, kinds(state)], [0, ["charge 1000", "refund 600", "refund_failed 600"]])
  })

  it("cancels by the caller's reference and names what it cancelled", () => {
    const { chargeId, state } = authorized()
    const cancel = (targetReference: string) => transition(state, { _tag: "VoidByReference", targetReference, reference: "v" }, 2).answer
    assert.strictEqual(cancel("unknown").status, 404)
    const answer = cancel("r1")
    assert.strictEqual(answer.status, 200)
    assert.deepStrictEqual(
      (answer.body["cancelled"] as ReadonlyArray<{ id: string }>).map(({ id }) => id),
      [chargeId]
    )
    assert.strictEqual(cancel("r1").status, 200)
    transition(state, create({ reference: "r9" }), 3)
    assert.strictEqual(cancel("r9").status, 409)
    assert.deepStrictEqual(kinds(state), ["authorize 1000", "void 1000", "charge 1000"])
  })

  it("refunds up to the captured amount; a refund that fails later gives it back", () => {
    const state = fresh()
    transition(state, create({ token: "tok_refund_fails_later" }), 1)
    const chargeId = only(state).id
    const refund = (amount: number) => transition(state, { _tag: "RefundCharge", chargeId, reference: "f", amount }, 2).answer.status
    assert.deepStrictEqual([refund(600), refund(401)], [201, 400])
    const [timer] = PspState.waiting(state)
    assert.strictEqual(timer?.kind, "refund")
    transition(state, { _tag: "SettleRefund", refundId: timer?.id ?? "" }, timer?.at ?? 0)
    assert.strictEqual(only(state).refunded, 0)
    assert.deepStrictEqual(kinds(state), ["charge 1000", "refund 600", "refund_failed 600"])
    assert.strictEqual(transition(state, { _tag: "SettleRefund", refundId: timer?.id ?? "" }, 9_999).answer.status, 404)
  })

  it("explicit refusals of a capture and of a void change nothing and are found by reference", () => {
    for (const [token, command] of [
      ["tok_capture_fails", { _tag: "CaptureCharge", reference: "x", final: false }],
      ["tok_void_fails", { _tag: "VoidCharge", reference: "x" }]
    ] as const) {
      const { chargeId, state } = authorized({}, token)
      assert.strictEqual(transition(state, { ...command, chargeId }, 2).answer.status, 402)
      assert.deepStrictEqual(kinds(state), ["authorize 1000"])
      assert.strictEqual(Ledger.lookup(state, { reference: "x", lag: 0, now: 3 }).status, 200)
    }
  })
})

describe("look-up", () => {
  it("shows an operation only after the lag, and prefers one that holds money", () => {
    const state = fresh()
    transition(state, create({ token: "tok_success" }), 100)
    transition(state, create({ token: "tok_declined_soft" }), 110)
    assert.strictEqual(Ledger.lookup(state, { reference: "r1", lag: 50, now: 149 }).status, 404)
    const { body } = Ledger.lookup(state, { reference: "r1", lag: 50, now: 160 })
    assert.strictEqual((body["operation"] as { status: string }).status, "succeeded")
    assert.strictEqual(body["matches"], 2)
  })

  it("pages charges by time and ledger by number", () => {
    const state = fresh()
    for (let at = 1; at <= 5; at++) transition(state, create({ reference: `r${at}` }), at * 10)
    const first = Ledger.chargesPage(state, { from: 20, to: 50, cursor: undefined, limit: 2 }).body
    assert.strictEqual((first["data"] as ReadonlyArray<unknown>).length, 2)
    assert.strictEqual(first["has_more"], true)
    const second = Ledger.chargesPage(state, { from: 20, to: 50, cursor: Number(first["next_cursor"]), limit: 2 }).body
    assert.strictEqual((second["data"] as ReadonlyArray<unknown>).length, 1)
    assert.strictEqual(second["has_more"], false)
    const page = Ledger.ledgerPage(state, { after: 3, limit: 1 }).body
    assert.deepStrictEqual([page["next_after"], (page["data"] as ReadonlyArray<{ seq: number }>)[0]?.seq], [4, 4])
  })
})

describe("idempotency keys", () => {
  const store = (state: PspState.AccountState, key: string, at: number) =>
    PspState.apply(state, {
      at,
      sequence: 0,
      charges: [],
      refunds: [],
      operations: [],
      entries: [],
      events: [],
      result: { key, fingerprint: "f", at, status: 201, body: "{}" }
    })

  it("replays within the window, refuses another body, forgets after the window", () => {
    const state = fresh()
    store(state, "k", 100)
    const look = (now: number, fingerprint = "f") => Idempotency.lookup(state, { key: "k", fingerprint, now })._tag
    assert.deepStrictEqual([look(10_100), look(200, "g"), look(10_101), look(10_101, "g")], ["Replay", "Mismatch", "Fresh", "Fresh"])
  })

  it("never evicts an unexpired key: it refuses new ones", () => {
    const state = fresh()
    for (const key of ["a", "b", "c"]) store(state, key, 100)
    const look = (now: number) => Idempotency.lookup(state, { key: "d", fingerprint: "f", now })._tag
    assert.deepStrictEqual([look(200), look(20_000)], ["Full", "Fresh"])
    store(state, "d", 20_000)
    assert.deepStrictEqual([...state.results.keys()], ["d"])
  })
})

describe("restoring", () => {
  /** A small generator (Mulberry32), so that a failing seed can be run again. */
  const generator = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  const randomCommand = (state: PspState.AccountState, random: () => number): Command => {
    const pick = <A>(items: ReadonlyArray<A>): A => items[Math.floor(random() * items.length)] as A
    const chargeId = pick([...state.charges.keys(), "ch_none"])
    const reference = `r${Math.floor(random() * 40)}`
    const amount = 1 + Math.floor(random() * 1_200)
    const timer = pick(PspState.waiting(state))
    return pick<Command>([
      create({ token: pick(magicTokens).token, reference, amount, capture: pick(["automatic", "manual"] as const) }),
      { _tag: "ConfirmCharge", chargeId, reference },
      { _tag: "CaptureCharge", chargeId, reference, amount, final: random() < 0.2 },
      { _tag: "VoidCharge", chargeId, reference },
      { _tag: "VoidByReference", targetReference: reference, reference: `v${reference}` },
      { _tag: "RefundCharge", chargeId, reference, amount },
      { _tag: "CustomerAction", chargeId, action: pick(["complete", "fail"] as const) },
      timer?.kind === "refund" ? { _tag: "SettleRefund", refundId: timer.id } : { _tag: "SettleCharge", chargeId: timer?.id ?? chargeId }
    ])
  }

  it("random commands: the changes, written and read as JSON, give the same state, and the ledger adds up", () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = generator(seed)
      const options = { maxPending: 50, leavesOpenAfterDecline: seed % 2 === 0 }
      const state = fresh(options)
      const copy = fresh(options)
      for (let now = 1; now <= 150; now++) {
        const decision = transition(state, randomCommand(state, random), now)
        if (decision.change !== undefined) PspState.apply(copy, JSON.parse(JSON.stringify(decision.change)) as PspState.Change)
      }
      assert.deepStrictEqual(copy, state, `seed ${seed}`)
      const sums = new Map<string, Record<string, number>>()
      for (const entry of state.ledger) {
        const sum = sums.get(entry.chargeId) ?? {}
        sum[entry.kind] = (sum[entry.kind] ?? 0) + entry.amount
        sums.set(entry.chargeId, sum)
      }
      for (const charge of state.charges.values()) {
        const sum = sums.get(charge.id) ?? {}
        assert.strictEqual((sum["charge"] ?? 0) + (sum["capture"] ?? 0), charge.captured, `seed ${seed}`)
        assert.strictEqual((sum["refund"] ?? 0) - (sum["refund_failed"] ?? 0), charge.refunded, `seed ${seed}`)
        assert.isAtMost(charge.refunded, charge.captured)
        assert.isAtMost(charge.captured + (sum["void"] ?? 0), charge.authorized)
      }
    }
  })
})

describe("magic tokens", () => {
  it("every token is listed once and every declining one has a refusal", () => {
    assert.strictEqual(new Set(magicTokens.map(({ token }) => token)).size, magicTokens.length)
    for (const row of magicTokens) {
      assert.strictEqual(find(row.token), row)
      if (row.outcome === "declined") assert.isDefined(row.failure)
    }
    assert.strictEqual(failures.captureFailed.type, "processing_error")
  })

  it("the documentation holds the table", () => {
    const text = fs.readFileSync(new URL("../../docs/sandbox.md", import.meta.url), "utf8")
    assert.include(text, toMarkdown())
  })
})

describe("settings", () => {
  const problemOf = (options: Options.SandboxOptions) => Options.problem(Options.resolve(options))

  it("accepts the defaults and names what is wrong", () => {
    assert.isUndefined(problemOf({}))
    assert.include(problemOf({ accounts: [] }), "accounts")
    assert.include(problemOf({ accounts: [{ name: "control" }] }), "control")
    assert.include(problemOf({ accounts: [{ name: "a" }, { name: "a" }] }), "twice")
    assert.include(problemOf({ accounts: [{ name: "a", errorRate: Number.NaN }] }), "errorRate")
    assert.include(problemOf({ accounts: [{ name: "a", webhookUrl: "ftp://x" }] }), "webhookUrl")
    assert.include(problemOf({ holdMillis: -1 }), "holdMillis")
  })
})
