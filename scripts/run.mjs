/**
 * Runs one task of package.json (`start`, `test`, `check`, ...) on a machine that may have nothing but Node 20 and npm.
 *
 * It uses only what Node 20 ships, because it runs before anything is installed: it installs the dependencies when they are missing
 * or differ from package-lock.json, then runs the task with the Node 24 of `node_modules`. Everything after the task's name is passed on.
 *
 * Gotcha: not `npm ci`, which refuses a lock file whenever a registry offers other platforms' packages than the one it was written with;
 * `npm install --no-save` installs the locked versions as well and changes neither file. A lock directory keeps two tasks started at once
 * from installing together; the second waits for the first.
 */
import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")
const lock = join(root, ".install-lock")
const windows = process.platform === "win32"

/** The package's own `engines.node`: the oldest Node that runs the sources as they are. */
const oldest = { major: 22, minor: 19 }
/** An install on a slow line takes minutes; a lock older than this was left behind by a machine that stopped. */
const lockExpiresMillis = 15 * 60_000
const parentCheckMillis = 500

/** What each task gives to Node: a script, and its first arguments. */
const tasks = {
  start: ["src/edges/cli/main.ts", "serve"],
  test: ["node_modules/vitest/vitest.mjs", "run"],
  "test:long": ["node_modules/vitest/vitest.mjs", "run"],
  "test:crash": ["scripts/crash/main.ts"],
  check: ["scripts/check.ts"],
  build: ["scripts/build.ts"],
  format: ["node_modules/oxfmt/bin/oxfmt"],
  lint: ["node_modules/oxlint/bin/oxlint", "--deny-warnings"],
  bench: ["scripts/bench/main.ts"],
  "bench:compare": ["scripts/bench/compare.ts"],
  "bench:report": ["scripts/bench/report.ts"],
  defaults: ["scripts/defaults.ts"],
  demo: ["scripts/demo/demo.ts"],
  "demo:outage": ["scripts/demo/main.ts"]
}

const [task, ...rest] = process.argv.slice(2)
if (task === undefined || !Object.hasOwn(tasks, task)) {
  fail(`Usage: node scripts/run.mjs <${Object.keys(tasks).join(" | ")}> [arguments]`)
}
install()
run(task, rest)

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

/** Installs when needed; waits while another task of this folder installs. */
function install() {
  if (isInstalled()) return
  while (!takeLock()) sleep(500)
  process.on("exit", releaseLock)
  if (!isInstalled()) {
    process.stderr.write("Installing the dependencies (npm install)...\n")
    const done = spawnSync(
      windows ? "npm.cmd" : "npm",
      ["install", "--no-save", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"],
      {
        cwd: root,
        // What npm prints goes to stderr: stdout belongs to the task.
        stdio: ["ignore", 2, 2],
        shell: windows
      }
    )
    if (done.error !== undefined) fail(`npm could not be started: ${done.error.message}`)
    if (done.status !== 0) fail("npm install failed; see above.")
  }
  process.off("exit", releaseLock)
  releaseLock()
}

function releaseLock() {
  rmSync(lock, { recursive: true, force: true })
}

/**
 * True if every package that package-lock.json wants is there in that version. npm writes what it installed to
 * `node_modules/.package-lock.json`, at the end; optional packages of other platforms are absent from it.
 */
function isInstalled() {
  const wanted = packagesOf(join(root, "package-lock.json"))
  const present = packagesOf(join(modules, ".package-lock.json"))
  if (wanted === undefined) fail("package-lock.json is missing or unreadable.")
  if (present === undefined) return false
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true
    const found = present[path]
    if (found === undefined) return entry.optional === true
    return found.version === entry.version && existsSync(join(root, path, "package.json"))
  })
}

function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages
  } catch {
    return undefined
  }
}

function takeLock() {
  try {
    mkdirSync(lock)
    writeFileSync(join(lock, "pid"), String(process.pid))
    return true
  } catch (error) {
    if (error.code !== "EEXIST") fail(`The folder ${root} cannot be written to (${error.code}), and its dependencies are not installed.`)
    if (isAbandoned()) rmSync(lock, { recursive: true, force: true })
    return false
  }
}

function isAbandoned() {
  try {
    if (Date.now() - statSync(lock).mtimeMs > lockExpiresMillis) return true
    const pid = Number(readFileSync(join(lock, "pid"), "utf8"))
    process.kill(pid, 0)
    return false
  } catch (error) {
    // ENOENT: its owner is just writing or removing it. EPERM: it runs, as another user.
    return error.code === "ESRCH"
  }
}

function sleep(millis) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis)
}

/** The Node 24 that was installed; where install scripts are off, the one that runs this, if it is new enough. */
function findNode() {
  const installed = join(modules, "node", "bin", windows ? "node.exe" : "node")
  if (existsSync(installed)) return installed
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return process.execPath
  return fail(
    `Node ${oldest.major}.${oldest.minor} or later is needed, this is ${process.versions.node}, and the one in node_modules was not ` +
      "installed (are npm's install scripts switched off?)."
  )
}

function run(name, args) {
  const child = spawn(findNode(), [...tasks[name], ...args], {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      PATH: `${join(modules, "node", "bin")}${delimiter}${join(modules, ".bin")}${delimiter}${process.env.PATH ?? ""}`,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(modules, ".cache", "node"),
      ...(name === "test:long" ? { AEGISPAY_LONG: "1" } : {})
    }
  })
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  // A terminal sends Ctrl-C to the child as well: handing it on would count twice.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"))
  stopWithNpm(() => child.kill("SIGTERM"))
  child.on("error", (error) => fail(`${name} could not be started: ${error.message}`))
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}

/**
 * npm runs a task through a shell, and a shell that is told to stop does not tell this process. So when npm started it and its parent is
 * gone, it stops the task. Started by hand it may outlive its parent, as `nohup` promises.
 */
function stopWithNpm(stop) {
  if (process.env.npm_lifecycle_event === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    stop()
  }, parentCheckMillis)
}
