/**
 * What a measurement was made on. Numbers without it say nothing.
 */
import { spawnSync } from "node:child_process"
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs"
import * as os from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { spreadOf } from "./Harness.ts"

const versionOf = (name: string): string => {
  const text = readFileSync(new URL(`../../node_modules/${name}/package.json`, import.meta.url), "utf8")
  return (JSON.parse(text) as { readonly version: string }).version
}

/** Median time in microseconds to make 8 KiB durable in the temporary directory, where the benchmark's database is as well. */
const syncMicros = (): number => {
  const directory = mkdtempSync(join(os.tmpdir(), "aegispay-bench-"))
  try {
    const file = openSync(join(directory, "file"), "w")
    const page = Buffer.alloc(8192)
    const times = Array.from({ length: 100 }, (_, index) => {
      writeSync(file, page, 0, page.length, index * page.length)
      const started = performance.now()
      fdatasyncSync(file)
      return (performance.now() - started) * 1000
    })
    closeSync(file)
    return spreadOf(times).median
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Machine and versions, each as one line. */
export const facts = (): Readonly<Record<string, string>> => {
  const cpus = os.cpus()
  return {
    processors: `${os.availableParallelism()} x ${cpus[0]?.model.trim() ?? "unknown"}`,
    memory: `${(os.totalmem() / 2 ** 30).toFixed(1)} GiB`,
    system: `${os.platform()} ${os.release()} ${os.arch()}`,
    node: process.version,
    effect: versionOf("effect"),
    "@effect/sql-pg": versionOf("@effect/sql-pg"),
    "fdatasync of 8 KiB": `${syncMicros().toFixed(0)} us (median of 100)`,
    "load before": os
      .loadavg()
      .map((value) => value.toFixed(2))
      .join(", ")
  }
}

/** The commit that was measured, with `+` where files differ from it; empty outside of a git work tree. */
export const commit = (): string => {
  const { status, stdout } = spawnSync("git", ["describe", "--always", "--dirty=+", "--exclude=*"], {
    cwd: fileURLToPath(new URL(".", import.meta.url)),
    encoding: "utf8"
  })
  return status === 0 ? stdout.trim() : ""
}
