/**
 * The directory of an embedded database:
 *
 *     data/        what Postgres calls its data directory; owned by the account that runs the server, mode 0700
 *     password     the password of the one role, mode 0600
 *     port         the port last used, so that a restarted server is found where it was
 *     server.log   what the server said, at most about 1 MiB
 *
 * `data` is made under another name and renamed when whole (see NewData.ts); what an interrupted attempt left is removed by the
 * next start. The directory must hold nothing else: what is not recognised is refused, never changed.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import type { Dirent } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { type Account, isRoot, own } from "./Account.ts"
import {
  because,
  DirectoryNotWritable,
  type EmbeddedPostgresError,
  NotADataDirectory,
  PasswordMissing,
  WrongDataVersion
} from "./EmbeddedPostgresError.ts"
import { makeDirectory } from "./MakeDirectory.ts"
import { isAlive } from "./Postmaster.ts"

/** The role and the database that every embedded server has. */
export const roleName = "aegispay"

/** The paths of an embedded database. */
export interface Layout {
  readonly root: string
  readonly data: string
  readonly password: string
  readonly port: string
  readonly log: string
}

/** A file or directory that is being made: this, the id of the process that makes it, a dash and a name. */
export const makingPrefix = "data.making-"
const ours = ["data", "password", "port", "server.log"]
/** What a half-made directory may be at most old while the process that makes it seems alive. */
const makingMillis = 10 * 60_000

/**
 * Runs a file operation to its end, whatever is interrupted meanwhile; a refusal becomes `DirectoryNotWritable` naming path,
 * operation, code and account.
 */
export const io = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.uninterruptible(
    Effect.tryPromise({
      try: run,
      catch: (error) => {
        const code = (error as NodeJS.ErrnoException).code ?? String(error)
        return because(new DirectoryNotWritable({ path, operation, code, account: own() }))
      }
    })
  )

/**
 * Makes the directory if needed, and checks that it is ours to use. Returns its paths without symbolic links.
 * Fails with `NotADataDirectory` (nothing changed) or `DirectoryNotWritable`.
 */
export const open = Effect.fnUntraced(function* (dataDir: string): Effect.fn.Return<Layout, EmbeddedPostgresError> {
  const wanted = Path.resolve(dataDir)
  const stat = yield* io("look at", wanted, () => Fs.stat(wanted).catch(orUndefined("ENOENT")))
  if (stat !== undefined && !stat.isDirectory()) {
    return yield* because(new NotADataDirectory({ path: wanted, found: "it is a file" }))
  }
  // Root's server runs as another account, which must be able to enter.
  yield* io("create", wanted, () => makeDirectory(wanted, isRoot() ? 0o711 : 0o700))
  const root = yield* io("look at", wanted, () => Fs.realpath(wanted))
  const entries = yield* io("read", root, () => Fs.readdir(root, { withFileTypes: true }))
  const foreign = foreignContent(entries)
  if (foreign !== undefined) return yield* because(new NotADataDirectory({ path: root, found: foreign }))
  yield* io("write to", root, () => Fs.access(root, Fs.constants.R_OK | Fs.constants.W_OK | Fs.constants.X_OK))
  const at = (name: string) => Path.join(root, name)
  yield* sweep(root, entries)
  return { root, data: at("data"), password: at("password"), port: at("port"), log: at("server.log") }
})

const foreignContent = (entries: ReadonlyArray<Dirent>): string | undefined => {
  const names = entries.map((entry) => entry.name).filter((name) => name !== "lost+found")
  if (names.includes("PG_VERSION")) return "it is a bare Postgres data directory, with PG_VERSION at its top"
  if (names.length === 0 || names.some((name) => ours.includes(name) || name.startsWith(makingPrefix))) return undefined
  return `it holds other files (${names.slice(0, 3).join(", ")}${names.length > 3 ? ", ..." : ""})`
}

/** Removes what interrupted attempts left: their name ends with the id of the process that made them. */
const sweep = (root: string, entries: ReadonlyArray<Dirent>) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.promise(async () => {
      for (const { name } of entries) {
        if (!name.startsWith(makingPrefix)) continue
        const path = Path.join(root, name)
        const stat = await Fs.stat(path).catch(() => undefined)
        const old = stat !== undefined && now - stat.mtimeMs > makingMillis
        if (old || !isAlive(Number(name.split("-")[1]))) await remove(path)
      }
    })
  )

/** Removes a file or directory; what cannot be removed stays. */
export const remove = (path: string) => Fs.rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {})

/** Who owns the data, or its directory while there is none. */
export const ownerOf = (layout: Layout) => io("look at", layout.root, () => Fs.stat(layout.data).catch(() => Fs.stat(layout.root)))

/**
 * Whether there is data, and of which major version. Fails with `NotADataDirectory` when `data` is something else, and with
 * `DirectoryNotWritable` when it may not be read.
 */
export const dataVersion = Effect.fnUntraced(function* (layout: Layout): Effect.fn.Return<string | undefined, EmbeddedPostgresError> {
  const names = yield* io("read", layout.data, () => Fs.readdir(layout.data).catch(orUndefined("ENOENT")))
  if (names === undefined || names.length === 0) return undefined
  if (!names.includes("PG_VERSION")) {
    return yield* because(new NotADataDirectory({ path: layout.data, found: "it is not empty and has no PG_VERSION" }))
  }
  const file = Path.join(layout.data, "PG_VERSION")
  return (yield* io("read", file, () => Fs.readFile(file, "utf8"))).trim()
})

/**
 * Reads the password, making it first where there is no data yet. Two processes that make one agree on the first.
 * Fails with `PasswordMissing` or `DirectoryNotWritable`.
 */
export const password = Effect.fnUntraced(function* (
  layout: Layout,
  options: { readonly hasData: boolean }
): Effect.fn.Return<Redacted.Redacted, EmbeddedPostgresError> {
  const read = io("read", layout.password, () => Fs.readFile(layout.password, "utf8").catch(orUndefined("ENOENT")))
  const existing = (yield* read)?.trim()
  if (existing) return Redacted.make(existing)
  if (options.hasData) return yield* because(new PasswordMissing({ path: layout.password }))
  yield* io("write", layout.password, async () => {
    const making = `${layout.root}/${makingPrefix}${process.pid}-password`
    await writeDurably(making, randomBytes(24).toString("base64url"))
    // A link fails where the name exists: the first process' password stays.
    await Fs.link(making, layout.password)
      .catch(orUndefined("EEXIST"))
      .finally(() => Fs.rm(making, { force: true }))
    await giveToOwner(layout, layout.password)
  })
  const made = (yield* read)?.trim()
  return made ? Redacted.make(made) : yield* because(new PasswordMissing({ path: layout.password }))
})

const writeDurably = async (path: string, text: string) => {
  await Fs.rm(path, { force: true })
  const file = await Fs.open(path, "wx", 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What root makes in another user's directory belongs to that user. */
export const giveToOwner = async (layout: Layout, path: string): Promise<void> => {
  if (!isRoot()) return
  const { uid, gid } = await Fs.stat(layout.root)
  await Fs.chown(path, uid, gid)
}

/** Fails with `WrongDataVersion` unless the binaries can read the data. */
export const checkVersion = (layout: Layout, found: string, expected: string): Effect.Effect<void, EmbeddedPostgresError> =>
  found === expected ? Effect.void : Effect.fail(because(new WrongDataVersion({ dataDir: layout.data, found, expected })))

/** Gives the data to the account that will run the server, when root runs it as another account than last time. */
export const giveData = Effect.fnUntraced(function* (layout: Layout, account: Account): Effect.fn.Return<void, EmbeddedPostgresError> {
  const { owner } = account
  if (owner === undefined) return
  yield* io("change the owner of", layout.data, async () => {
    if ((await Fs.stat(layout.data)).uid === owner.uid) return
    const entries = await Fs.readdir(layout.data, { recursive: true })
    for (const entry of entries) await Fs.lchown(Path.join(layout.data, entry), owner.uid, owner.gid)
    await Fs.lchown(layout.data, owner.uid, owner.gid)
  })
})

/** For `catch`: `undefined` in place of an error with this code. */
export const orUndefined =
  (code: string) =>
  (error: NodeJS.ErrnoException): undefined => {
    if (error.code !== code) throw error
    return undefined
  }
