import { AegisPay } from "../../src/public/embed.ts"
import { config, heard, shop } from "./express-shop.ts"

// Events may come before `make` has answered.
const started = Promise.withResolvers<AegisPay>()
const aegis = await AegisPay.make(config, { merchant: "my-shop", onEvent: async (event) => heard(await started.promise, event) })
started.resolve(aegis)
const server = shop(aegis).listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => console.log(JSON.stringify(server.address())))

// No new requests, then the payments in hand, then the database.
process.once("SIGTERM", () =>
  server.close(() =>
    aegis.close().catch((error: unknown) => {
      console.error(error)
      process.exitCode = 1
    })
  )
)
