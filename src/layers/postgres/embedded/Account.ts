/**
 * Which operating system account runs the server.
 *
 * Postgres refuses to run as root. An ordinary user runs it as itself. Root runs it as the owner of the data, or as `nobody` when
 * that is root. Where that account cannot enter the folders of the binaries or the data (a 0700 home of root, say), root
 * runs it in a user namespace in which root is called `nobody` (`unshare`, Linux only); the files then belong to root.
 */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import type { Binaries } from "./Binaries.ts"
import { because, BinariesUnusable, type EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import * as Watched from "./Watched.ts"

export interface Account {
  /** For messages. */
  readonly name: string
  /** The ids the command is started with; empty for this process' own. */
  readonly ids: { readonly uid?: number; readonly gid?: number }
  /** What is put before the command. */
  readonly prefix: ReadonlyArray<string>
  /** Who must own the data, when this process is root and can give it away. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined
}

/** The account of this process, as `uid 1000`. */
export const own = (): string => `uid ${process.getuid?.() ?? "unknown"}`

export const isRoot = (): boolean => process.getuid?.() === 0

/**
 * Chooses the account that can run the binaries and enter `directory`, and tells their major version.
 * `owner` is who owns the data now, or its directory. Fails with `BinariesUnusable`.
 */
export const choose = Effect.fnUntraced(function* (options: {
  readonly binaries: Binaries
  readonly directory: string
  readonly owner: { readonly uid: number; readonly gid: number }
}): Effect.fn.Return<{ readonly account: Account; readonly version: string }, EmbeddedPostgresError> {
  const candidates = isRoot() ? yield* accountsForRoot(options.owner) : [ordinary]
  let output = ""
  for (const account of candidates) {
    const probe = yield* Watched.run({
      account,
      command: ["/bin/sh", "-c", `cd "$1" && exec "$2" --version`, "probe", options.directory, options.binaries.postgres]
    })
    const version = /\(PostgreSQL\) (\d+)/.exec(probe.output)?.[1]
    if (probe.code === 0 && version !== undefined) return { account, version }
    output += probe.output
  }
  return yield* because(
    new BinariesUnusable({
      path: options.binaries.postgres,
      account: candidates.map((account) => account.name).join(" or "),
      output
    })
  )
})

const ordinary: Account = { name: own(), ids: {}, prefix: [], owner: undefined }

const accountsForRoot = Effect.fnUntraced(function* (owner: { readonly uid: number; readonly gid: number }) {
  const nobody = yield* findNobody
  const ids = owner.uid === 0 ? nobody : owner
  const direct: Account = { name: `uid ${ids.uid}`, ids, prefix: [], owner: ids }
  const mapped: Account = {
    name: "root in a user namespace",
    ids: {},
    prefix: ["unshare", "--user", `--map-user=${nobody.uid}`, `--map-group=${nobody.gid}`],
    owner: { uid: 0, gid: 0 }
  }
  return process.platform === "linux" ? [direct, mapped] : [direct]
})

/** `nobody` as /etc/passwd has it: initdb wants an account that exists. 65534 where the file cannot be read. */
const findNobody = Effect.promise(async () => {
  const text = await readFile("/etc/passwd", "utf8").catch(() => "")
  const fields =
    text
      .split("\n")
      .find((line) => line.startsWith("nobody:"))
      ?.split(":") ?? []
  const uid = Number(fields[2] ?? 65534) >>> 0
  const gid = Number(fields[3] ?? 65534) >>> 0
  return { uid, gid }
})
