/**
 * Child processes that end with their parent, however it ends.
 *
 * A command runs under a small shell script that holds the read end of a pipe whose write end is in this process. When this
 * process dies, even by SIGKILL, the pipe closes and the script stops the command: SIGINT, repeated until it is gone, SIGQUIT
 * after 30 seconds. Postgres takes SIGINT as a fast shutdown and SIGQUIT as an immediate one (recovered at the next start).
 *
 * SIGINT is repeated because it would be lost on a process so young that it has not installed its handlers. The command has its
 * own session, so Ctrl-C at a terminal does not reach it: the database is stopped last, by its owner. The script prints the
 * command's process id. When the script itself is killed, the subshell that reads the pipe still stops the command.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import type { Account } from "./Account.ts"

const script = `exec 3<&0 </dev/null
"$@" 1>&2 3<&- &
P=$!
(read -r _ <&3; S=INT; N=0; while kill -$S $P; do sleep 0.2; N=$((N+1)); [ $N -lt 150 ] || S=QUIT; done) >/dev/null 2>&1 &
W=$!
echo $P
exec 1>&- 3<&-
trap 'kill -INT $P' INT TERM HUP
while kill -0 $P 2>/dev/null; do wait $P; R=$?; done
kill -KILL $W 2>/dev/null
exit $R`

/** The environment of every command: no variable of this process reaches it, and messages are in English. */
export const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin",
  LC_ALL: "C",
  TZ: "UTC"
}

/** A running command. */
export interface Watched {
  readonly child: ChildProcess
  /** The process id of the command itself, not of the script; undefined until it is known, a few milliseconds after the start. */
  readonly pid: () => number | undefined
  /** What its stdout and stderr said, when they are collected here (the last 8 KiB). */
  readonly output: () => string
  readonly hasExited: () => boolean
  /** Resolves with the exit code once the command has ended. */
  readonly exit: Promise<number>
  /** Asks the command to end. */
  readonly stop: () => void
}

/** Starts a command; its stderr and stdout go to `logFile` (an open file descriptor), or are collected in memory. */
export const start = (options: {
  readonly account: Account
  readonly command: ReadonlyArray<string>
  readonly logFile?: number
  readonly env?: Readonly<Record<string, string>>
}): Watched => {
  const child = spawn("/bin/sh", ["-c", script, "aegispay", ...options.account.prefix, ...options.command], {
    ...options.account.ids,
    env: { ...environment, ...options.env },
    cwd: "/",
    detached: true,
    stdio: ["pipe", "pipe", options.logFile ?? "pipe"]
  })
  let output = ""
  let printed = ""
  let exited = false
  child.stdout?.on("data", (chunk) => {
    printed += String(chunk)
  })
  child.stderr?.on("data", (chunk) => {
    output = (output + String(chunk)).slice(-8192)
  })
  const exit = new Promise<number>((resolve) => {
    const done = (code: number) => {
      exited = true
      resolve(code)
    }
    child.once("error", (error) => {
      output += error.message
      done(127)
    })
    child.once("close", (code) => done(code ?? 128))
  })
  child.stdin?.on("error", () => {})
  return {
    child,
    pid: () => (printed.includes("\n") ? Number(printed) : undefined),
    output: () => output,
    hasExited: () => exited,
    exit,
    stop: () => {
      child.ref()
      child.stdin?.end()
    }
  }
}

/** Lets this process end although the command runs: the closing pipe then stops it. */
export const unref = (watched: Watched): void => {
  watched.child.unref()
  for (const stream of [watched.child.stdin, watched.child.stdout, watched.child.stderr]) unrefStream(stream)
}

const unrefStream = (stream: ((Readable | Writable) & { unref?: () => void }) | null): void => {
  stream?.unref?.()
}

/** Runs a command to its end; interruption stops it. */
export const run = (options: {
  readonly account: Account
  readonly command: ReadonlyArray<string>
}): Effect.Effect<{ readonly code: number; readonly output: string }> =>
  Effect.callback((resume) => {
    const watched = start(options)
    void watched.exit.then((code) => resume(Effect.succeed({ code, output: watched.output() })))
    return Effect.promise(() => {
      watched.stop()
      return watched.exit
    })
  })
