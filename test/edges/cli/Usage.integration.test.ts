/**
 * What the command line says when it is asked for help, or asked for something that cannot be.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { aegispay, assertOneLine, directory, takenPort } from "./aegispay.ts"

const nowhere = "postgres://user:secret-password@127.0.0.1:1/shop"

describe("aegispay", () => {
  it.concurrent("prints help and version to stdout", async () => {
    const [help, pay, version] = await Promise.all([aegispay(["--help"]), aegispay(["pay", "--help"]), aegispay(["--version"])])
    for (const ended of [help, pay, version]) assert.deepStrictEqual([ended.code, ended.stderr], [0, ""])
    for (const name of ["serve", "pay", "payment", "recover", "sandbox", "migrate", "--json", "--config"]) assert.include(help.stdout, name)
    assert.include(pay.stdout, "--gateway-reference")
    assert.match(version.stdout, /\d+\.\d+\.\d+/)
  })

  for (const [what, args, expected] of [
    ["no command", [], /a command is needed; see aegispay --help/],
    ["an unknown command", ["paay"], /paay.*see aegispay --help/],
    ["an unknown flag", ["pay", "--amuont", "1"], /--amuont.*see aegispay pay --help/],
    ["a missing flag", ["pay", "--amount", "1", "--token", "tok"], /--currency/],
    ["an amount that is none", ["pay", "--amount", "49.90", "--currency", "EUR", "--token", "tok"], /positive integer of minor units/],
    [
      "a currency that is none",
      ["pay", "--amount", "1", "--currency", "EURO", "--token", "tok"],
      /--currency: EURO is not a known currency/
    ],
    ["no payment method", ["pay", "--amount", "1", "--currency", "EUR"], /--token .* or --gateway-reference/],
    ["a status that is none", ["payment", "list", "--status", "paid"], /--status: one of .*succeeded/],
    ["a narrowed simulation that is not one run", ["simulate", "--crash-at", "3"], /--crash-at narrows .* add --trace --from SEED/],
    ["the schedule of many simulations", ["simulate", "--exhaustive", "7", "--trace"], /--trace shows one run, --exhaustive makes many/],
    ["a duration that is none", ["recover", "--older-than", "soon"], /a duration such as/],
    ["a payment id that is none", ["payment", "get", "42"], /"42". Expected: pay_ and 36 hexadecimal digits; see/],
    [
      "a key of 10 kB",
      ["pay", "--amount", "1", "--currency", "EUR", "--token", "tok", "--key", "k".repeat(10_000)],
      /--key: "k{60}\.\.\.". Expected: 1 to 255 visible ASCII/
    ]
  ] as const) {
    it.concurrent(`refuses ${what} with exit code 2 and one line`, async () => {
      const ended = await aegispay(args)
      assert.strictEqual(ended.code, 2)
      assertOneLine(ended, expected)
    })
  }

  it.concurrent("refuses a card number without repeating it", async () => {
    const ended = await aegispay(["pay", "--amount", "1", "--currency", "EUR", "--token", "4242424242424242"])
    assert.strictEqual(ended.code, 2)
    assertOneLine(ended, /--token: looks like a card number/)
    assert.notInclude(ended.stdout + ended.stderr, "424242")
  })

  it.concurrent("names what is wrong in a configuration, and where", async () => {
    const folder = await directory()
    const file = join(folder, "wrong.json")
    await writeFile(
      file,
      JSON.stringify({ database: { dataDir: folder }, gateways: [{ name: "x", kind: "paypal", baseUrl: "http://127.0.0.1:1" }], htpp: {} })
    )
    const ended = await aegispay(["serve", "--config", file])
    assert.strictEqual(ended.code, 2)
    assertOneLine(ended, /wrong\.json: gateways\[0\]\.kind: expected "sandbox"/)
    assert.match(ended.stderr, /wrong\.json: htpp: is not a known field/)
    const missing = await aegispay(["payment", "list", "--config", join(folder, "none.json")])
    assert.strictEqual(missing.code, 2)
    assertOneLine(missing, /none\.json: cannot be read \(ENOENT\)/)
  })

  it.concurrent("says that the database is not there, without its password", async () => {
    const folder = await directory()
    const file = join(folder, "config.json")
    await writeFile(
      file,
      JSON.stringify({
        database: { url: "env:DB" },
        fingerprintKey: "env:KEY",
        gateways: [{ name: "sandbox-a", kind: "sandbox", baseUrl: "http://127.0.0.1:1/a" }],
        http: { apiKeys: [{ merchant: "m1", key: "env:KEY" }] }
      })
    )
    const env = { DB: nowhere, KEY: "0123456789abcdef0123456789abcdef" }
    for (const args of [["serve"], ["migrate"], ["recover"]]) {
      const ended = await aegispay([...args, "--config", file], { env })
      assert.strictEqual(ended.code, 2)
      assertOneLine(ended, /127\.0\.0\.1:1\/shop.*ECONNREFUSED.*config\.json/)
      assert.notInclude(ended.stderr, "secret-password")
    }
  })

  it.concurrent("makes no database where one is only to be read", async () => {
    const folder = await directory()
    const ended = await aegispay(["payment", "list", "--data-dir", join(folder, "data")])
    assert.strictEqual(ended.code, 2)
    assertOneLine(ended, /there is no database in .*data/)
    assert.isFalse(existsSync(join(folder, "data", "postgres")))
  })

  describe("with a port in use", () => {
    const taken = takenPort()
    afterAll(async () => {
      ;(await taken).server.close()
    })

    it("names it and says how to choose another", async () => {
      const { port } = await taken
      const ended = await aegispay(["sandbox", "--port", String(port)])
      assert.strictEqual(ended.code, 2)
      assertOneLine(ended, new RegExp(`port ${port} .*in use.*--port`))
    })
  })
})
