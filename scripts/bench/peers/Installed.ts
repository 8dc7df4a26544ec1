/** Which peers are there. */
import * as Dbos from "./Dbos.ts"
import * as EffectWorkflow from "./EffectWorkflow.ts"
import * as Emmett from "./Emmett.ts"
import * as HandWritten from "./HandWritten.ts"
import { type Peer, versionOf } from "./Peer.ts"
import * as PgBoss from "./PgBoss.ts"

const loaders: Readonly<Record<string, () => Promise<ReadonlyArray<Peer>>>> = {
  pg: HandWritten.peers,
  "@event-driven-io/emmett-postgresql": Emmett.peers,
  "pg-boss": PgBoss.peers,
  "@dbos-inc/dbos-sdk": Dbos.peers
}

/** The peers that can be measured, and the packages that are missing. */
export const peers = async (): Promise<{ readonly peers: ReadonlyArray<Peer>; readonly missing: ReadonlyArray<string> }> => {
  const found: Array<Peer> = []
  const missing: Array<string> = []
  for (const [name, load] of Object.entries(loaders)) {
    const loaded = await load()
    found.push(...loaded)
    if (loaded.length === 0) missing.push(name)
  }
  return { peers: [...found, EffectWorkflow.peer], missing }
}

/** The versions of what is installed. */
export const versions = (): string =>
  Object.keys(loaders)
    .flatMap((name) => {
      try {
        return [`${name} ${versionOf(name)}`]
      } catch {
        return []
      }
    })
    .join(", ")
