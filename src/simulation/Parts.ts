/**
 * What the world of a simulation is made of, and how its processes are put together.
 */
import type { Handler } from "../sandbox/Sandbox.ts"
import { defaults, type EngineSettings } from "../services/Settings.ts"
import * as Invariants from "./checks/Invariants.ts"
import type * as Chronicle from "./Chronicle.ts"
import type * as Fleet from "./Fleet.ts"
import type * as Instance from "./Instance.ts"
import type { Options } from "./Options.ts"
import type * as Host from "./people/Host.ts"
import type * as Person from "./people/Person.ts"
import type { PaymentPlan } from "./Plan.ts"
import type * as Setup from "./Setup.ts"
import * as Upkeep from "./Upkeep.ts"
import type * as Faults from "./world/Faults.ts"
import * as Kernel from "./world/Kernel.ts"
import type { NetworkOptions } from "./world/Network.ts"
import type * as Postman from "./world/Postman.ts"
import type * as Storage from "./world/Storage.ts"

/** How often recovery runs once there are no more faults. */
const calmRecoveryIntervalMillis = 30_000

/** What the world is made of. */
export interface Parts {
  readonly options: Options
  readonly setup: Setup.Setup
  readonly plans: ReadonlyArray<PaymentPlan>
  readonly kernel: Kernel.Kernel
  readonly chronicle: Chronicle.Chronicle
  readonly faults: Faults.Faults
  readonly hosts: Kernel.Process
  readonly people: Kernel.Process
  readonly psp: Kernel.Process
  readonly server: Kernel.Process
  calm: boolean
  requests: number
  grouped: number
}

/** The same once its servers run. */
export interface Served extends Parts {
  readonly storage: Storage.Storage
  readonly handler: Handler
  readonly fleet: Fleet.Fleet
  readonly postman: Postman.Postman
  readonly person: ReturnType<typeof Person.make> | undefined
}

/** What the processes' requests go through. */
export const networkOf = (parts: Parts, handler: Handler): NetworkOptions => {
  const { chronicle, faults, kernel, psp } = parts
  return {
    kernel,
    faults,
    psp,
    handler,
    onWritten: (sender, request) => {
      parts.requests++
      chronicle.note("send", () => `${sender.name} ${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""}`)
      chronicle.found(Invariants.ofRequest(request, Kernel.epochMillis + kernel.now(), chronicle.durable))
    },
    onArrived: (request, status) =>
      chronicle.note("psp", () => `${request.method} ${request.path} ${request.headers["idempotency-key"] ?? ""} -> ${status}`)
  }
}

const settingsOf = ({
  recoveryOlderThanMillis,
  upkeep: { customerWaitMillis, lateSuccess, recoveryLeaseMillis }
}: Setup.Setup): Partial<EngineSettings> => ({
  idempotencyWaitMillis: 600,
  recoveryOlderThanMillis,
  policy: { ...defaults.policy, lateSuccess },
  ...(customerWaitMillis === undefined ? {} : { customerWaitMillis }),
  ...(recoveryLeaseMillis === undefined ? {} : { recoveryLeaseMillis })
})

/** How an instance of the engine is started. */
export const instanceOptions = (parts: Parts): Omit<Instance.InstanceOptions, "process" | "storage" | "network"> => {
  const { chronicle, kernel, options, setup } = parts
  return {
    kernel,
    gateways: setup.accounts,
    replayWindowMillis: setup.replayWindowMillis,
    settings: settingsOf(setup),
    recoveryIntervalMillis: () => (parts.calm ? calmRecoveryIntervalMillis : setup.recoveryIntervalMillis),
    webhookPollMillis: setup.webhookPollMillis,
    upkeep: setup.upkeep,
    onReceived: ({ payment, version }) => {
      chronicle.received.push({ payment, version })
      chronicle.note("deliver", () => `${payment} v${version}`)
    },
    onWanted: chronicle.onWanted,
    onAnswered: (commit, result) => {
      const own = result._tag !== "Committed" && commit.events.every(({ eventId }) => chronicle.isDurable(eventId))
      if (own) chronicle.wrong("I3", `a commit of ${commit.payment.id} is durable, and its writer was told ${result._tag}`)
    },
    bug: options.bug,
    onDefect: (what) => chronicle.wrong("I10", what)
  }
}

/** How the hosts live. */
export const hostOptions = ({ chronicle, fleet, handler, hosts, kernel, options, psp, setup }: Served): Host.HostOptions => ({
  kernel,
  host: hosts,
  psp,
  handler,
  seed: options.seed,
  comesBackAfter: (plan) => Upkeep.comesBackAfter(options.seed, plan, setup.upkeep),
  instance: fleet.any,
  ownerOf: chronicle.ownerOf,
  onHeard: (heard) => {
    chronicle.heard.push(heard)
    chronicle.note("heard", () => `${heard.command} ${heard.key}: ${heard.error ?? heard.payment?.status} ${heard.payment?.version ?? ""}`)
  },
  onWrong: (what) => chronicle.wrong("I10", what)
})
