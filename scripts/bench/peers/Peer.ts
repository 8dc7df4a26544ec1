/**
 * Peers: what a team would take instead of this engine, each doing the same crash-safe payment.
 *
 * A payment is 6 inserts (idempotency key, payment, three events of about 380 bytes, outbox) and 2 updates in two durable transactions: the
 * intent before the gateway is called, the outcome before the answer. The gateway answers at once. Each peer keeps what it is made to
 * keep by its own means and the rest by the statements of `Tables.ts`, in as few transactions as it allows.
 *
 * The packages are those of `package.json` in this folder. What is not installed is left out.
 */
import { createRequire } from "node:module"

/** A peer at work. `pay` makes one payment that is durable when it resolves. */
export interface Opened {
  readonly pay: () => Promise<void>
  readonly close: () => Promise<void>
}

/** A peer, installed. */
export interface Peer {
  readonly name: string
  /** Makes its tables in an empty database. */
  readonly prepare: (url: URL) => Promise<void>
  readonly open: (url: URL) => Promise<Opened>
}

/** Connections of a peer, as many as the engine's pool has. */
export const maxConnections = 10

const from = createRequire(new URL("package.json", import.meta.url))

/** The package of a peer; `undefined` where it is not installed. The type is what is used of it. */
export const load = async <Module>(name: string): Promise<Module | undefined> => {
  try {
    return (await import(from.resolve(name))) as Module
  } catch (error) {
    if ((error as { readonly code?: string }).code === "MODULE_NOT_FOUND") return undefined
    throw error
  }
}

/** The version of an installed package. */
export const versionOf = (name: string): string => {
  const entry = from.resolve(name)
  const root = entry.slice(0, entry.lastIndexOf(`node_modules/${name}/`) + `node_modules/${name}/`.length)
  return (from(`${root}package.json`) as { readonly version: string }).version
}
