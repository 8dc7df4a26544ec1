/**
 * The version of the package, from its package.json.
 */
import { readFileSync } from "node:fs"

/** Both `src/edges/cli` and `dist/edges/cli` are three folders below it. */
const file = new URL("../../../package.json", import.meta.url)

export const version: string = (JSON.parse(readFileSync(file, "utf8")) as { readonly version: string }).version
