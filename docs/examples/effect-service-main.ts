import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Layer from "effect/Layer"
import { service } from "./effect-service.ts"

// Logs where it listens; SIGTERM takes no new requests, waits for the payments in hand, then closes the database.
NodeRuntime.runMain(Layer.launch(service))
