/**
 * Where notifications go: to the configured endpoints; in the development set-up, which has none, to the log. A server with neither leaves
 * events to other processes on its database.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogNotifier from "../../../layers/memory/notify/LogNotifier.ts"
import * as HttpNotifier from "../../../layers/node/HttpNotifier.ts"
import { Notifier } from "../../../services/notify/Notifier.ts"
import { cannotRun, type Failure } from "../Failure.ts"
import type { Target } from "./Target.ts"

/** Does this process take events of anybody? */
export const receives = ({
  config,
  development
}: {
  readonly config: Pick<Target["config"], "notifications">
  readonly development: Target["development"]
}): boolean => config.notifications.endpoints.length > 0 || development !== undefined

/** The notifier of a configuration. Its HTTP client follows no redirects. */
export const layer = ({ config, source }: Target): Layer.Layer<Notifier, Failure> => {
  const { allowLoopback, endpoints } = config.notifications
  if (endpoints.length === 0) return LogNotifier.layer
  return HttpNotifier.layer({ endpoints, allowLoopback }).pipe(
    Layer.provide(NodeHttpClient.layerUndici),
    Layer.catchTag("InvalidEndpoint", ({ message }) =>
      Layer.effect(Notifier, Effect.fail(cannotRun(`${source}: notifications: ${message}`)))
    )
  )
}
