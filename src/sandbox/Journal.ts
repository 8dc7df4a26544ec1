/**
 * The durable memory of the sandbox: an append-only file of JSON lines, synced before an answer leaves.
 *
 * The first line names the instance (part of every id); every further line is one change of one account. A start replays the lines.
 * A last line that was cut off by a crash was never acknowledged: it is dropped and the file shortened to the last whole line. A damaged
 * line before the end is an error, since what follows it was acknowledged. Appends that arrive during a sync share the next one.
 * A lock file with the owner's process id keeps a second sandbox off the directory; a lock whose owner is gone is taken over.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import * as path from "node:path"

/** The journal cannot be opened, is damaged, or could not be written. After a failed write nothing is accepted any more. */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  directory: Schema.String,
  reason: Schema.Literals(["locked", "damaged", "io"]),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return `sandbox journal in ${this.directory}: ${this.detail}`
  }
}

export interface Journal {
  readonly instance: string
  /** Queues a line at once, in call order; the effect ends when the line is synced to disk. */
  readonly append: (line: string) => Effect.Effect<void, JournalError>
  /** Ends when everything queued so far is synced to disk. */
  readonly flushed: Effect.Effect<void, JournalError>
}

class Writer {
  private pending: Array<string> = []
  private tail: Promise<void> = Promise.resolve()
  private scheduled = false
  private readonly file: fs.FileHandle

  constructor(file: fs.FileHandle) {
    this.file = file
  }

  append(line: string): Promise<void> {
    this.pending.push(line)
    if (!this.scheduled) {
      this.scheduled = true
      this.tail = this.tail.then(() => this.flush())
      // Whoever waits for the tail sees the failure; this keeps it from being unhandled when nobody does.
      this.tail.catch(() => undefined)
    }
    return this.tail
  }

  settled(): Promise<void> {
    return this.tail
  }

  private async flush(): Promise<void> {
    this.scheduled = false
    const batch = this.pending
    this.pending = []
    await this.file.appendFile(`${batch.join("\n")}\n`)
    await this.file.datasync()
  }
}

const fileName = "sandbox.jsonl"
const lockName = "sandbox.lock"

const failed =
  (directory: string, detail: string) =>
  (cause: unknown): JournalError =>
    cause instanceof JournalError ? cause : new JournalError({ directory, reason: "io", detail, cause })

const isAlive = (pid: number): boolean => {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

const heldHere = new Set<string>()

const isDirectory = (directory: string): Promise<boolean> =>
  fs.stat(directory).then(
    (stat) => stat.isDirectory(),
    () => false
  )

/** The directories above one, the root first. */
const parentsOf = (directory: string): ReadonlyArray<string> => {
  const above = path.dirname(path.resolve(directory))
  return above === path.dirname(above) ? [] : [...parentsOf(above), above]
}

const lock = async (directory: string): Promise<string> => {
  // One by one: where nothing can be made, as in /proc, Node's recursive `mkdir` does not end.
  for (const above of [...parentsOf(directory), directory]) {
    await fs.mkdir(above, { mode: 0o700 }).catch(async (error: unknown) => {
      if (!(await isDirectory(above))) throw error
    })
  }
  const file = path.resolve(directory, lockName)
  const owner = Number(await fs.readFile(file, "utf8").catch(() => ""))
  if (heldHere.has(file) || (Number.isInteger(owner) && owner > 0 && isAlive(owner))) {
    throw new JournalError({ directory, reason: "locked", detail: `in use by process ${owner} (${lockName})` })
  }
  heldHere.add(file)
  await fs.writeFile(file, String(process.pid), { mode: 0o600 })
  return file
}

const unlock = async (file: string): Promise<void> => {
  heldHere.delete(file)
  await fs.rm(file, { force: true })
}

/** Calls `onLine` for each whole line and returns the number of bytes that they take. */
const readLines = async (file: fs.FileHandle, onLine: (line: string, number: number) => void): Promise<number> => {
  let rest = Buffer.alloc(0)
  let bytes = 0
  let number = 0
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false })) {
    rest = rest.length === 0 ? (chunk as Buffer<ArrayBuffer>) : Buffer.concat([rest, chunk as Buffer])
    let start = 0
    for (let end = rest.indexOf(10, start); end >= 0; end = rest.indexOf(10, start)) {
      number += 1
      onLine(rest.toString("utf8", start, end), number)
      bytes += end + 1 - start
      start = end + 1
    }
    rest = rest.subarray(start)
  }
  return bytes
}

interface Restored {
  readonly instance: string | undefined
  readonly bytes: number
}

const restore = async (directory: string, file: fs.FileHandle, onChange: (account: string, change: unknown) => void): Promise<Restored> => {
  let instance: string | undefined
  const bytes = await readLines(file, (line, number) => {
    const damaged = () => new JournalError({ directory, reason: "damaged", detail: `line ${number} of ${fileName} is damaged` })
    let parsed: { readonly instance?: string; readonly account?: string; readonly change?: unknown }
    try {
      parsed = JSON.parse(line) as typeof parsed
    } catch {
      throw damaged()
    }
    if (number === 1 && typeof parsed.instance === "string") instance = parsed.instance
    else if (number > 1 && typeof parsed.account === "string" && typeof parsed.change === "object") {
      onChange(parsed.account, parsed.change)
    } else throw damaged()
  })
  return { instance, bytes }
}

/** Makes the new file's name durable. Where directories cannot be synced (Windows) there is nothing to do. */
const syncDirectory = async (directory: string): Promise<void> => {
  const handle = await fs.open(directory, "r").catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}

/** Opens the directory's journal, replays it through `onChange` in order and holds it until the scope closes. */
export const open = Effect.fnUntraced(function* (options: {
  readonly directory: string
  /** The instance of a journal that starts here; one that exists keeps its own. */
  readonly instance: string
  readonly onChange: (account: string, change: unknown) => void
}): Effect.fn.Return<Journal, JournalError, Scope.Scope> {
  const { directory } = options
  yield* Effect.acquireRelease(
    Effect.tryPromise({ try: () => lock(directory), catch: failed(directory, "cannot lock the directory") }),
    (file) => Effect.promise(() => unlock(file))
  )
  const file = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => fs.open(path.join(directory, fileName), "a+", 0o600),
      catch: failed(directory, `cannot open ${fileName}`)
    }),
    (handle) => Effect.promise(() => handle.close())
  )
  const writer = new Writer(file)
  const instance = yield* Effect.tryPromise({
    try: async () => {
      const restored = await restore(directory, file, options.onChange)
      await file.truncate(restored.bytes)
      if (restored.instance === undefined) {
        await writer.append(JSON.stringify({ instance: options.instance }))
        await syncDirectory(directory)
      }
      return restored.instance ?? options.instance
    },
    catch: failed(directory, `cannot read ${fileName}`)
  })
  const wrote = failed(directory, `cannot write ${fileName}`)
  return {
    instance,
    // The line is queued when `append` is called, not when the effect runs, so that the file has the order of the changes.
    append: (line) => {
      const written = writer.append(line)
      return Effect.tryPromise({ try: () => written, catch: wrote })
    },
    flushed: Effect.suspend(() => {
      const settled = writer.settled()
      return Effect.tryPromise({ try: () => settled, catch: wrote })
    })
  }
})
