/**
 * Damage done on purpose, so that a test can see that the comparison notices it: a second charge, a charge that nobody intended,
 * and an acknowledgement of what never was.
 */
import * as Ledger from "./Ledger.ts"
import type { Log } from "./Log.ts"
import type { World } from "./World.ts"

const charge = async (world: World, body: { readonly payment: string; readonly amount: number; readonly currency: string }) => {
  const response = await fetch(`${world.sandboxUrl}/b/v1/charges`, {
    method: "POST",
    headers: { authorization: "Bearer sk_sandbox_b", "content-type": "application/json", "idempotency-key": `planted ${body.payment}` },
    body: JSON.stringify({ ...body, token: "tok_success", capture: "automatic", reference: `planted ${body.payment}` })
  })
  await response.arrayBuffer()
  if (!response.ok) throw new Error(`the second charge was refused with ${response.status}`)
}

/** Charges a paid payment again, charges an unknown one, and forges one answer. Fails where no payment has succeeded. */
export const plant = async (world: World, log: Log): Promise<void> => {
  const { byPayment } = await Ledger.read(world.sandboxUrl)
  const paid = log.answers.find(({ body }) => body.status === "succeeded" && byPayment.get(body.id)?.some(Ledger.stands))
  if (paid === undefined) throw new Error("no payment has succeeded to be damaged")
  const { amount, currency, id } = paid.body
  await charge(world, { payment: id, amount, currency })
  await charge(world, { payment: "nobody", amount, currency })
  log.answers.push({ ...paid, body: { ...paid.body, amountCaptured: 0 } })
}
