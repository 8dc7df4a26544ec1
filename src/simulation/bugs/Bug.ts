/**
 * A bug that can be planted: a broken variant of what an instance is built from.
 */
import type { MemoryStore } from "../../layers/memory/MemoryStore.ts"
import type { Writer } from "../../layers/postgres/payment/CommitGroup.ts"
import type { Gateway } from "../../services/Gateway.ts"
import type { HostTransaction } from "../../services/HostTransaction.ts"
import type { Stores } from "../world/Storage.ts"

/** A broken variant of what an instance is built from. */
export interface Bug {
  readonly name: string
  /** What it breaks, in words. */
  readonly breaks: string
  readonly gateway?: (gateway: Gateway) => Gateway
  /** `memory`: the tables themselves, where they are in memory. */
  readonly stores?: (stores: Stores, memory: (typeof MemoryStore)["Service"] | undefined) => Stores
  /** How commits of several payments are written. */
  readonly writer?: (writer: Writer) => Writer
  readonly hostTransaction?: HostTransaction["Service"]
}
