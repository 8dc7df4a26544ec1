#!/usr/bin/env node
/**
 * The entry point of `aegispay`.
 *
 * Compiled code is cached between runs (`NODE_COMPILE_CACHE`, or the system's temporary directory), which halves the start. The cache
 * has to be on before a module is loaded, so everything else is imported after it. It runs on a Node that is too old, to say so.
 */
import * as Module from "node:module"

/** `engines.node` of package.json. */
const oldest = { major: 22, minor: 19 }

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major < oldest.major || (major === oldest.major && minor < oldest.minor)) {
  process.stderr.write(`aegispay: Node ${oldest.major}.${oldest.minor} or later is needed, this is ${process.versions.node}\n`)
  process.exit(2)
}
Module.enableCompileCache()
const { main } = await import("./Cli.ts")
main()
