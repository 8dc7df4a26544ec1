import { AegisPay } from "../../src/public/embed.ts"
import { config, shop } from "./express-shop.ts"

const aegis = await AegisPay.make(config, { merchant: "my-shop" })
const server = shop(aegis).listen(Number(process.env["PORT"] ?? 0), "127.0.0.1", () => console.log(JSON.stringify(server.address())))

// No new requests, then the payments in hand, then the database.
process.once("SIGTERM", () => server.close(() => void aegis.close()))
