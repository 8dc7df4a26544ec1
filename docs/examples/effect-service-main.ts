import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { address, service } from "./effect-service.ts"

const announced = Layer.effectDiscard(Effect.flatMap(address, (at) => Console.log(JSON.stringify(at))))

NodeRuntime.runMain(Layer.launch(Layer.provide(announced, service)))
