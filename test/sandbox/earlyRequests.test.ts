/**
 * A request that arrives before anybody takes requests is answered, not forgotten.
 */
import { assert, describe, it } from "@effect/vitest"
import { createServer, IncomingMessage, ServerResponse } from "node:http"
import { Socket } from "node:net"
import * as EarlyRequests from "../../src/sandbox/http/EarlyRequests.ts"

const request = (): readonly [IncomingMessage, ServerResponse] => {
  const incoming = new IncomingMessage(new Socket())
  return [incoming, new ServerResponse(incoming)]
}

describe("early requests", () => {
  it("are handed over, once and in order, to the first who takes requests", async () => {
    const server = EarlyRequests.keep(createServer())
    const [first, second, third] = [request(), request(), request()]
    server.emit("request", ...first)
    server.emit("request", ...second)
    const taken: Array<IncomingMessage> = []
    server.on("request", (incoming) => void taken.push(incoming))
    await Promise.resolve()
    server.emit("request", ...third)
    assert.deepStrictEqual(
      taken.map((incoming) => [first[0], second[0], third[0]].indexOf(incoming)),
      [0, 1, 2]
    )
    assert.strictEqual(server.listenerCount("request"), 1)
  })

  it("are cut beyond a thousand", () => {
    const server = EarlyRequests.keep(createServer())
    const kept = request()
    for (let sent = 0; sent < 1_000; sent++) server.emit("request", ...kept)
    const beyond = request()
    server.emit("request", ...beyond)
    assert.isFalse(kept[1].destroyed)
    assert.isTrue(beyond[1].destroyed)
  })
})
