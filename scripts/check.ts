/**
 * `npm run check`: everything a machine can say about the sources without running them. All steps run, also after one has failed.
 *
 * `npm run check -- lint types` runs only the steps named.
 */
import { spawnSync } from "node:child_process"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const module = (path: string) => join(root, "node_modules", path)

/** The steps, fastest complaint first; each is a script for Node with its arguments. */
const steps: Record<string, ReadonlyArray<string>> = {
  format: [module("oxfmt/bin/oxfmt"), "--check", "."],
  lint: [module("oxlint/bin/oxlint"), "--deny-warnings"],
  types: [module("typescript/bin/tsc"), "-b", "--pretty", "false"],
  // prettier-ignore
  effect: [
    module("@effect/tsgo/dist/effect-tsgo.cjs"), "diagnostics", "--project", join(root, "tsconfig.json"),
    "--strict", "--severity", "error,warning", "--format", "text"
  ],
  unused: [module("knip/bin/knip.js"), "--no-progress"]
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in steps))
if (unknown.length > 0) {
  process.stderr.write(`No such check: ${unknown.join(", ")}. There are: ${Object.keys(steps).join(", ")}.\n`)
  process.exit(2)
}

// What the compiler remembers is of no use when its output was removed or written by another version of the sources' layout.
if (process.env["CI"] === "true") rmSync(join(root, "dist"), { recursive: true, force: true })

const failed: Array<string> = []
for (const [name, args] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  process.stdout.write(`--- ${name}\n`)
  const started = performance.now()
  const done = spawnSync(process.execPath, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (done.status !== 0) failed.push(name)
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  process.stdout.write(`--- ${name}: ${done.status === 0 ? "passed" : "failed"} in ${seconds} s\n`)
}
process.stdout.write(failed.length === 0 ? "All checks passed.\n" : `Failed: ${failed.join(", ")}.\n`)
process.exit(failed.length === 0 ? 0 : 1)
