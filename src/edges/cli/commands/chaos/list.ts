/**
 * `aegispay chaos list` and `aegispay chaos schema`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { named } from "../../../../domain/chaos/experiment/presets/Named.ts"
import { cannotRun } from "../../Failure.ts"
import { print } from "../../Output.ts"
import * as JsonSchemas from "./JsonSchemas.ts"

/** The named experiments. With a name: its definition, to start a file from. */
export const list = Effect.fnUntraced(function* ({ show }: { readonly show: string | undefined }) {
  if (show !== undefined) {
    const definition = named.get(show)
    if (definition === undefined)
      return yield* cannotRun(`there is no experiment "${show}"; named experiments: ${[...named.keys()].join(", ")}`)
    return yield* Console.log(JSON.stringify(definition, null, 2))
  }
  const all = [...named.values()]
  yield* print({
    json: all.map(({ description, name }) => ({ name, description })),
    text: all.flatMap(({ description, name }) => [name, `  ${description}`])
  })
})

/** The JSON Schema of definitions, or of results. */
export const schema = ({ of }: { readonly of: "experiment" | "result" }) => Console.log(JsonSchemas.text(of).trimEnd())
