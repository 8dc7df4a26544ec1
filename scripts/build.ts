/**
 * `npm run build`: compiles `src` to `dist`, from scratch, so that nothing of a removed file stays.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const compiler = join(root, "node_modules/typescript/bin/tsc")
/** The two ends of the package: what it exports and its command line. Their references bring in the rest of `src`. */
const projects = ["src", "src/edges/cli"]

rmSync(join(root, "dist"), { recursive: true, force: true })
const done = spawnSync(process.execPath, [compiler, "-b", ...projects], { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
const command = join(root, "dist/edges/cli/main.js")
if (existsSync(command)) chmodSync(command, 0o755)
process.exit(done.status ?? 1)
