/**
 * The facade as a host has it: webhooks of a PSP that are posted into its own server end a payment that waited for the customer, and payments on
 * a data directory of its own are there again after a restart.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import express from "express"
import { mkdtempSync, rmSync } from "node:fs"
import type { RequestListener } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { AegisPay } from "../../../src/public/embed.ts"
import { ScriptedGateway } from "../../../src/public/testing.ts"
import * as Sandbox from "../../../src/sandbox/Sandbox.ts"
import { started } from "../../gateways/sandboxGateways.ts"
import { served } from "./served.ts"

const secrets = { KEY: "sk_sandbox_a", WEBHOOK: "whsec_sandbox_a" }

const order = { key: "order-1", amount: 4990, currency: "EUR", returnUrl: "https://shop.example/return" } as const

/** Reads a payment until it is as it should be. */
const until = async (aegis: AegisPay, id: string, status: string) => {
  for (let waited = 0; waited < 10_000; waited += 50) {
    const payment = await aegis.get({ id })
    if (payment.status === status) return payment
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return assert.fail(`payment ${id} did not become ${status}`)
}

/** A host that mounts the interface, and a sandbox that posts its webhooks to it. */
const withHost = (mount: (aegis: AegisPay) => RequestListener, use: (aegis: AegisPay, customer: string) => Promise<void>) =>
  Effect.scoped(
    Effect.gen(function* () {
      let webhookUrl: string | undefined
      const { url } = yield* started({
        accounts: Sandbox.quietAccounts.map((account) => ({ ...account, webhookUrl: () => webhookUrl }))
      })
      yield* Effect.promise(async () => {
        await using aegis = await AegisPay.make(
          {
            database: "memory",
            gateways: [{ name: "sandbox-a", kind: "sandbox", baseUrl: `${url}/a`, secretKey: "env:KEY", webhookSecret: "env:WEBHOOK" }]
          },
          { merchant: "m1", environment: secrets, background: { recovery: false, relay: false }, log: () => {} }
        )
        await served(mount(aegis), async (host) => {
          webhookUrl = `${host}/pay/v1/webhooks/sandbox-a`
          await use(aegis, `${url}/a/customer`)
        })
      })
    })
  )

describe("webhooks of the sandbox, posted into a host", () => {
  const hosts: ReadonlyArray<readonly [string, (aegis: AegisPay) => RequestListener]> = [
    ["node:http", (aegis) => aegis.nodeHandler({ prefix: "/pay" })],
    [
      "Express",
      (aegis) =>
        express()
          .use(aegis.nodeHandler({ prefix: "/pay" }))
          .use(express.json())
    ]
  ]
  for (const [name, mount] of hosts) {
    it.live(`${name}: the customer authenticates, and the payment that waited has succeeded`, () =>
      withHost(mount, async (aegis, customer) => {
        const charge = await aegis.charge({ ...order, paymentMethod: { type: "card", token: "tok_3ds" } })
        if (charge.outcome !== "requires_action" || charge.nextAction.type !== "redirect") return assert.fail(charge.outcome)
        assert.isTrue(charge.nextAction.url.startsWith(`${customer}/`), charge.nextAction.url)
        const acted = await fetch(`${charge.nextAction.url}/complete`, { method: "POST" })
        assert.strictEqual(acted.status, 200)
        const payment = await until(aegis, charge.payment.id, "succeeded")
        assert.strictEqual(payment.amountCaptured, 4990)
        const succeeded = (await aegis.events({ id: payment.id })).find(({ type }) => type === "OperationSucceeded")
        assert.strictEqual((succeeded?.data as { readonly source?: string } | undefined)?.source, "webhook")
      })
    )
  }
})

describe("a data directory", () => {
  it("keeps payments: what one process charged, the next one finds, under its key as well", { timeout: 60_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), "aegispay-facade-"))
    const gateway = ScriptedGateway.make("psp")
    const open = () =>
      AegisPay.make(
        { database: { dataDir: join(directory, "data") } },
        { merchant: "m1", gateways: [gateway], environment: {}, background: false, log: () => {} }
      )
    const input = { ...order, paymentMethod: { type: "card", token: "tok_1" } } as const
    try {
      const first = await open()
      const { outcome, payment } = await first.charge(input)
      assert.strictEqual(outcome, "charged")
      await first.close()
      await using second = await open()
      assert.deepStrictEqual(await second.get({ id: payment.id }), payment)
      assert.deepStrictEqual(
        (await second.list()).data.map(({ id }) => id),
        [payment.id]
      )
      const again = await second.charge(input)
      assert.deepStrictEqual([again.outcome, again.replayed, again.payment.id], ["charged", true, payment.id])
      assert.lengthOf(gateway.sent, 1)
      const refund = await second.refund({ id: payment.id, key: "order-1-refund", amount: 990 })
      assert.deepStrictEqual([refund.outcome, refund.payment.status], ["done", "partially_refunded"])
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
