/**
 * A connection's socket: what a Postgres client writes to it reaches the session after a while, and the answers come back after another.
 *
 * It breaks as connections to a database do: before a statement arrives, after it was carried out and before its answer, and while it is
 * still on its way, so that it is carried out when nobody waits for it any more. A connection that breaks is noticed: the client's own timers
 * for silent ones run on real time, which does not pass here. Bytes that were written arrive whatever becomes of their process.
 */
import { EventEmitter } from "node:events"
import type { Duplex } from "node:stream"
import * as Chance from "../world/Chance.ts"
import type { Faults } from "../world/Faults.ts"
import type { Kernel, Process } from "../world/Kernel.ts"
import type { Session } from "./Session.ts"
import * as Wire from "./Wire.ts"

export interface SocketOptions {
  readonly kernel: Kernel
  readonly process: Process
  readonly session: Session
  /** None for a connection that nothing happens to, and whose bytes take no time. */
  readonly faults: Faults | undefined
}

/** Mostly at once, sometimes milliseconds, seldom long. */
const latencyMillis = (faults: Faults | undefined): number => {
  if (faults === undefined) return 0
  const chance = faults.draw()
  if (chance < 0.5) return 0
  return chance < 0.95 ? 1 + Math.floor(chance * 4) : Chance.between(faults.draw, 5, 300)
}

/** The latest that a statement is carried out whose connection has broken. */
const longestLateMillis = 1_500

/** The part of a `Duplex` that the client uses. */
class Socket extends EventEmitter {
  readonly options: SocketOptions
  writable = true
  private readonly frames = Wire.frames()
  private readonly answers: Array<Uint8Array> = []
  /** Bytes of one connection arrive in the order they were sent. */
  private arrival = 0
  private departure = 0
  private broken = false
  /** It broke on the way: nothing more arrives. */
  private reset = false

  constructor(options: SocketOptions) {
    super()
    this.options = options
  }

  write(chunk: Uint8Array): boolean {
    const { faults, kernel } = this.options
    for (const batch of this.frames.push(chunk)) {
      this.arrival = Math.max(this.arrival, kernel.now() + latencyMillis(faults))
      kernel.after(this.arrival - kernel.now(), undefined, () => this.arrive(batch))
    }
    return true
  }

  end(chunk?: Uint8Array): this {
    if (chunk !== undefined) this.write(chunk)
    this.writable = false
    return this
  }

  destroy(): this {
    if (!this.writable && this.broken) return this
    this.writable = false
    this.hangUp()
    return this
  }

  pause(): this {
    return this
  }

  resume(): this {
    return this
  }

  /** Nobody is at this end any more. */
  hangUp(): void {
    const { kernel, session } = this.options
    this.broken = true
    // What is on its way arrives first.
    kernel.after(Math.max(0, this.arrival - kernel.now()), undefined, () => session.leave(this))
  }

  private arrive(batch: Wire.Batch): void {
    const { faults, kernel, session } = this.options
    if (this.reset) return
    if (batch.kind === "Terminate") return session.leave(this)
    if (batch.kind === "Refused" || faults?.strikes("unavailable") === true) return this.breakDown()
    if (faults?.strikes("unacknowledged") !== true) return session.run(this, batch.bytes, (answer) => this.answer(answer))
    const how = faults.draw()
    if (how < 0.4) session.run(this, batch.bytes, () => undefined)
    else if (how < 0.7) {
      // Carried out when whoever sent it has gone.
      const late = Chance.between(faults.draw, 1, longestLateMillis)
      this.arrival = kernel.now() + late
      kernel.after(late, undefined, () => session.run(this, batch.bytes, () => undefined))
    }
    this.breakDown()
  }

  private answer(answer: Uint8Array): void {
    const { faults, kernel, process } = this.options
    this.departure = Math.max(this.departure, kernel.now() + latencyMillis(faults))
    this.answers.push(answer)
    // Of two that come at the same time either may be handed over first: each hands over the one that is due.
    kernel.after(this.departure - kernel.now(), process, () => {
      const next = this.answers.shift()
      if (next !== undefined && !this.broken) this.emit("data", next)
    })
  }

  private breakDown(): void {
    const { faults, kernel, process } = this.options
    this.reset = true
    this.hangUp()
    kernel.after(latencyMillis(faults), process, () => {
      this.writable = false
      this.emit("error", Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }))
      this.emit("close")
    })
  }
}

export interface Opened {
  /** What the client's option `stream` wants. */
  readonly stream: Duplex
  readonly hangUp: () => void
}

export const open = (options: SocketOptions): Opened => {
  const socket = new Socket(options)
  return { stream: socket as unknown as Duplex, hangUp: () => socket.hangUp() }
}
