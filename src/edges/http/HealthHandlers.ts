/**
 * Health: is the process alive, and can it take payments?
 *
 * Ready means that the database answers within two seconds and that not too many outcomes wait for it (rule 16). Alive means that
 * the process answers; restarting it would not bring a database back. What it depends on besides is told apart (`external`): a load balancer
 * that takes a server out because a gateway is away has no server left.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Background } from "../../orchestration/operation/Background.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Settings } from "../../services/Settings.ts"
import { Api } from "./Api.ts"
import * as External from "./resilience/External.ts"

/** Load balancers commonly ask every 5 to 10 s and wait a few seconds. */
const databaseTimeout = Duration.seconds(2)

/** The handlers of the health routes. */
export const layer = HttpApiBuilder.group(
  Api,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const store = yield* EventStore
    const background = yield* Background
    const settings = yield* Settings

    const check = Effect.gen(function* () {
      const database = yield* store.now.pipe(
        Effect.as("ok" as const),
        Effect.timeoutOrElse({ duration: databaseTimeout, orElse: () => Effect.succeed("unavailable" as const) }),
        Effect.catch(() => Effect.succeed("unavailable" as const))
      )
      const accepting = background.unstored() < settings.maxUnstoredOutcomes ? "ok" : "unavailable"
      const status = database === "ok" && accepting === "ok" ? "ok" : "unavailable"
      return HttpServerResponse.jsonUnsafe({ status, checks: { database, accepting } }, { status: status === "ok" ? 200 : 503 })
    })

    const external = Effect.map(yield* External.reader, (body) =>
      HttpServerResponse.jsonUnsafe(body, { status: body.status === "unavailable" ? 503 : 200 })
    )

    return handlers
      .handle("health", () => check)
      .handle("ready", () => check)
      .handle("external", () => external)
      .handle("live", () => Effect.succeed({ status: "ok" as const }))
  })
)
