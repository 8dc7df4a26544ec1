import { AegisPay } from "../../src/public/embed.ts"

/** A job for cron: one round of recovery and expiry, then the end. Any number of them may run beside each other and beside the shop. */
await using aegis = await AegisPay.make(process.env["AEGISPAY_CONFIG"] ?? "./aegispay.json", { background: false })
const recovered = await aegis.recover()
const expired = await aegis.expire()
console.log(JSON.stringify({ recovered: recovered.results, expired: expired.results }))
// Somebody should look when the gateways could not tell.
process.exitCode = (recovered.results.needs_review ?? 0) + recovered.errors.length > 0 ? 1 : 0
