/** The gateway contract suite (src/gateways/contract) as tests: one per case. */
import { describe, it } from "@effect/vitest"
import * as GatewayContract from "../../src/gateways/contract/GatewayContract.ts"

export const suite = (name: string, options: GatewayContract.ContractOptions): void => {
  describe(`Gateway: ${name}`, { concurrent: true }, () => {
    for (const { run, skipped, title } of GatewayContract.cases(options)) {
      if (skipped === undefined) it.live(title, () => run)
      else it.skip(`${title} (${skipped})`, () => undefined)
    }
  })
}
