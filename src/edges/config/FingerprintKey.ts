/**
 * The key of idempotency fingerprints of an embedded database: made once, kept beside it, readable by its owner only.
 *
 * Gotcha: it must outlive the database. Without it every repeated request would look like another one (422).
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"

/** The key cannot be read or kept. `path` names the file. */
export class FingerprintKeyError extends Schema.TaggedError<FingerprintKeyError>()("FingerprintKeyError", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: ${this.problem}`
  }
}

/** The file of the key in a data directory. */
export const fileOf = (dataDir: string): string => Path.join(Path.resolve(dataDir), "fingerprint.key")

/**
 * The key of a data directory, made when there is none (256 random bits, mode 0600). Of two processes that make it at once both
 * get the same: the file appears whole, under its name, once.
 */
export const load = Effect.fnUntraced(function* (dataDir: string): Effect.fn.Return<Redacted.Redacted, FingerprintKeyError> {
  const path = fileOf(dataDir)
  const found = yield* io(path, () => Fs.readFile(path, "utf8").catch(orUndefined("ENOENT")))
  const key = (found ?? (yield* io(path, () => create(path)))).trim()
  if (!/^[0-9a-f]{64}$/.test(key)) {
    return yield* new FingerprintKeyError({ path, problem: "does not hold a key of 64 hexadecimal digits; restore it from a backup" })
  }
  return Redacted.make(key)
})

const create = async (path: string): Promise<string> => {
  await Fs.mkdir(Path.dirname(path), { recursive: true, mode: 0o711 })
  const making = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`
  try {
    const file = await Fs.open(making, "wx", 0o600)
    try {
      await file.writeFile(`${randomBytes(32).toString("hex")}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await Fs.link(making, path).catch(orUndefined("EEXIST"))
  } finally {
    await Fs.rm(making, { force: true })
  }
  return Fs.readFile(path, "utf8")
}

const orUndefined = (code: string) => (error: unknown) => {
  if ((error as NodeJS.ErrnoException).code === code) return undefined
  throw error
}

const io = <A>(path: string, run: () => Promise<A>) =>
  Effect.tryPromise({
    try: run,
    catch: (error) =>
      new FingerprintKeyError({ path, problem: `cannot be read or written (${(error as NodeJS.ErrnoException).code ?? "unknown error"})` })
  })
