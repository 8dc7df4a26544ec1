/**
 * The JSON Schemas of experiments and their results, made of the schemas that decode them.
 */
import * as Schema from "effect/Schema"
import { Experiment } from "../../../../domain/chaos/experiment/Experiment.ts"
import { ExperimentResult } from "../../../../domain/chaos/experiment/ExperimentResult.ts"

const documents = {
  experiment: () => Schema.toJsonSchemaDocument(Experiment),
  result: () => Schema.toJsonSchemaDocument(ExperimentResult)
}

/** A schema as text, with a new line at its end. What a single value cannot say (an unknown gateway) is said when a file is read. */
export const text = (of: keyof typeof documents): string => {
  const { definitions, schema } = documents[of]()
  return `${JSON.stringify({ $schema: "https://json-schema.org/draft/2020-12/schema", ...schema, $defs: definitions }, null, 2)}\n`
}
