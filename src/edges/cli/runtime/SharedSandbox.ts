/**
 * The sandbox beside the engine, shared by the processes of one configuration: whoever comes first serves it, the others use it, and
 * when the one that serves it ends, another takes over on the same port and the same state.
 *
 * It posts the webhooks of an account to the server of its own process, for the gateway that is this account. The sandbox is there
 * before the server's port is known, so the address is asked for at each send; what happens until then is sent again after a moment.
 *
 * Gotchas: a sandbox without a directory forgets everything when its process ends. One that is served by a command without a server
 * sends no webhooks.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { readFileSync } from "node:fs"
import * as Path from "node:path"
import * as Sandbox from "../../../sandbox/Sandbox.ts"
import type { GatewayConfig, SandboxConfig } from "../../config/Config.ts"
import { cannotRun, Failure } from "../Failure.ts"
import { bindProblem } from "../ListenProblem.ts"

/** How often a process that does not serve the sandbox looks whether it has to. */
const lookEvery = "500 millis"
const probeMillis = 2_000

/** The address of this process' HTTP interface, without a trailing slash; `undefined` until it listens. */
export type ServerUrl = () => string | undefined

/** The sandbox with webhooks for the gateways that are its accounts and have a secret for them. */
export const posting = (config: SandboxConfig, gateways: ReadonlyArray<GatewayConfig>, serverUrl: ServerUrl): SandboxConfig => ({
  ...config,
  accounts: (config.accounts ?? Sandbox.defaultAccounts).map((account) => {
    const ofSandbox = gateways.filter((one) => one.kind === "sandbox")
    const gateway = ofSandbox.find(({ baseUrl, webhookSecret }) => webhookSecret !== undefined && isAccount(baseUrl, config, account.name))
    if (gateway?.webhookSecret === undefined) return account
    const webhookUrl = () => {
      const url = serverUrl()
      return url === undefined ? undefined : `${reachable(url)}/v1/webhooks/${gateway.name}`
    }
    return { ...account, webhookSecret: gateway.webhookSecret, webhookUrl }
  })
})

const isAccount = (baseUrl: string, { host, port }: SandboxConfig, account: string): boolean => {
  const url = new URL(baseUrl)
  const here = url.hostname === host || url.hostname === "localhost" || url.hostname.startsWith("127.")
  return here && url.port === String(port) && url.pathname.replace(/\/+$/, "") === `/${account}`
}

/** A server that binds every address is reached at this machine's own. */
const reachable = (url: string): string => url.replace("//0.0.0.0", "//127.0.0.1").replace("//[::]", "//[::1]")

/** Serves the sandbox, or makes sure that somebody does, for as long as the layer lives. */
export const layer = (config: SandboxConfig): Layer.Layer<never, Failure> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const serve = Effect.gen(function* () {
        const own = yield* Scope.fork(scope)
        return yield* Effect.as(Layer.buildWithScope(Sandbox.layerNode(config), own), true).pipe(
          Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
        )
      })
      /** True: served here. False: served by another process. */
      const ensure = Effect.catchTags(serve, {
        ServeError: (error) => Effect.as(usable(config, error.cause), false),
        // The owner is just starting or ending: the next look will tell.
        JournalError: (error) => (error.reason === "locked" ? Effect.succeed(false) : Effect.fail(cannotRun(error.message))),
        SandboxConfigError: (error) => Effect.fail(cannotRun(`sandbox: ${error.message}`))
      })
      if (yield* ensure) return
      const takeOver = Effect.repeat(
        Effect.orElseSucceed(ensure, () => false),
        { schedule: Schedule.spaced(lookEvery), until: (served) => served }
      )
      yield* Effect.forkScoped(Effect.andThen(takeOver, Console.error(`the sandbox is now served by this process on port ${config.port}`)))
    })
  )

/** Is what has the port the sandbox of this configuration? */
const usable = Effect.fnUntraced(function* (config: SandboxConfig, cause: unknown) {
  const problem = cannotRun(`sandbox: ${bindProblem(cause, { port: config.port, host: config.host, choose: "AEGISPAY_SANDBOX_PORT" })}`)
  if ((cause as NodeJS.ErrnoException | undefined)?.code !== "EADDRINUSE" || !isServedFrom(config.directory)) return yield* problem
  yield* Effect.tryPromise({
    try: async () => {
      const response = await fetch(`http://${config.host}:${config.port}/`, {
        signal: AbortSignal.timeout(probeMillis),
        redirect: "manual"
      })
      const body = (await response.json()) as { readonly object?: unknown }
      if (body.object !== "sandbox") throw new Error("not a sandbox")
    },
    catch: () => problem
  })
})

/** The sandbox' own lock tells which process serves a directory. Without a directory any sandbox will do. */
const isServedFrom = (directory: string | undefined): boolean => {
  if (directory === undefined) return true
  try {
    process.kill(Number(readFileSync(Path.join(directory, "sandbox.lock"), "utf8")), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}
