/**
 * The JSON Schemas of experiments and their results, made of the schemas that decode them.
 */
import * as Schema from "effect/Schema"
import { Experiment } from "../../../../domain/chaos/experiment/Experiment.ts"
import { ExperimentResult } from "../../../../domain/chaos/experiment/ExperimentResult.ts"

const documents = {
  experiment: () => Schema.toJsonSchemaDocument(Experiment, { onExcessProperty: "error" }),
  result: () => Schema.toJsonSchemaDocument(ExperimentResult)
}

/** A schema as text, with a new line at its end. What a single value cannot say (an unknown gateway) is said when a file is read. */
export const text = (of: keyof typeof documents): string => {
  const { definitions, schema } = documents[of]()
  const document = { $schema: "https://json-schema.org/draft/2020-12/schema", ...schema, $defs: definitions }
  return `${JSON.stringify(document, (_, value: unknown) => (isNumberOrName(value) ? { type: "number" } : value), 2)}\n`
}

/** JSON has no NaN and no infinities, and no definition takes their names in place of a number. */
const isNumberOrName = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null || !("anyOf" in value) || !Array.isArray(value.anyOf)) return false
  const [one, other, ...more]: ReadonlyArray<unknown> = value.anyOf
  return more.length === 0 && JSON.stringify([one, other]) === numberOrName
}

const numberOrName = JSON.stringify([{ type: "number" }, { type: "string", enum: ["Infinity", "-Infinity", "NaN"] }])
