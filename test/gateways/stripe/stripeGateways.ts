/** Gateways of a fake Stripe that runs in the test's process, over real HTTP and the client of production. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import * as StripeGateway from "../../../src/gateways/stripe/StripeGateway.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"

/** The adapter's settings of the fake account. */
export const accountOf = (baseUrl: string, overrides: Partial<StripeGateway.StripeAccount> = {}): StripeGateway.StripeAccount => ({
  name: GatewayName.make("stripe"),
  accountId: FakeStripe.accountId,
  baseUrl,
  secretKey: Redacted.make(FakeStripe.secretKey),
  webhookSecrets: [Redacted.make(FakeStripe.webhookSecret)],
  settleTimeMillis: 5_000,
  ...overrides
})

const client = GatewayHttpClient.layer({ connectLimitMillis: Presets.gatewayCall.connectLimitMillis.value })

/** A gateway over the client of production. */
export const gatewayOf = (account: StripeGateway.StripeAccount) =>
  Effect.flatMap(Layer.build(client), (context) => Effect.orDie(Effect.provideContext(StripeGateway.make(account), context)))
