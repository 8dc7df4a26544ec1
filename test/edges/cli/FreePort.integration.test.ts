/**
 * Ports that several first starts choose at the same moment.
 */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { refusingPort } from "./aegispay.ts"

const program = fileURLToPath(new URL("./killedChooser.ts", import.meta.url))
const children = new Set<ChildProcess>()

afterAll(() => {
  for (const child of children) child.kill("SIGKILL")
})

const answerOf = async (child: ChildProcess): Promise<unknown> => ((await once(child, "message")) as [unknown])[0]

describe("first starts at the same moment", () => {
  it("choose different ports, also where others that were killed have chosen the same before", async () => {
    const preferred = await refusingPort()
    for (let round = 0; round < 8; round++) {
      const choosing = Array.from({ length: 3 }, () => fork(program, { execArgv: ["--no-warnings"] }))
      for (const child of choosing) children.add(child)
      await Promise.all(choosing.map(answerOf))
      const ports = choosing.map(answerOf)
      for (const child of choosing) child.send(preferred)
      const chosen = await Promise.all(ports)
      assert.lengthOf(new Set(chosen), choosing.length, chosen.join(", "))
      const ends = choosing.map((child) => once(child, "exit"))
      for (const child of choosing) child.kill("SIGKILL")
      await Promise.all(ends)
    }
  })
})
