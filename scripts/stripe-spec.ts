/**
 * Checks recorded requests against an OpenAPI description of Stripe, such as `spec3.json` of github.com/stripe/openapi. Neither the description
 * nor the record is part of the project.
 *
 *     AEGISPAY_RECORD_STRIPE=/tmp/stripe.jsonl npx vitest run test/gateways/stripe
 *     node scripts/stripe-spec.ts spec3.json /tmp/stripe.jsonl
 *
 * Each request must name a path and method of the description, and its form or query must fit the schema: names, types, enumerations, lengths,
 * and what is required. Prints every difference once, with the number of requests that have it; ends with 1 where there is any.
 */
import { readFileSync } from "node:fs"

interface Schema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly anyOf?: ReadonlyArray<Schema>
  readonly properties?: { readonly [name: string]: Schema }
  readonly required?: ReadonlyArray<string>
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly maxLength?: number
}

interface Operation {
  readonly parameters?: ReadonlyArray<{ readonly name: string; readonly in: string; readonly required?: boolean; readonly schema: Schema }>
  readonly requestBody?: { readonly content: { readonly [type: string]: { readonly schema: Schema } } }
}

interface Description {
  readonly info: { readonly version: string }
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
  readonly components: { readonly schemas: { readonly [name: string]: Schema } }
}

interface Recorded {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: { readonly [name: string]: string | undefined }
  readonly body: string
}

/** A form with its brackets undone: `a[b]=1&c[]=2` is `{ a: { b: "1" }, c: ["2"] }`. */
type Value = string | ReadonlyArray<Value> | { readonly [name: string]: Value }

const nested = (text: string): { readonly [name: string]: Value } => {
  const root: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(text)) {
    const keys = name.replaceAll("]", "").split("[")
    let place: Record<string, unknown> = root
    keys.slice(0, -1).forEach((key) => {
      place[key] ??= {}
      place = place[key] as Record<string, unknown>
    })
    const last = keys.at(-1) ?? ""
    place[last === "" ? Object.keys(place).length : last] = value
  }
  return asLists(root) as { readonly [name: string]: Value }
}

/** An object whose names are 0, 1, 2... is a list. */
const asLists = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).map(([name, inner]) => [name, asLists(inner)] as const)
  return entries.length > 0 && entries.every(([name], index) => name === String(index))
    ? entries.map(([, inner]) => inner)
    : Object.fromEntries(entries)
}

const problemsOf = (description: Description, schema: Schema, value: Value, path: string): ReadonlyArray<string> => {
  const at = (message: string) => [`${path === "" ? "the request" : path}: ${message}`]
  if (schema.$ref !== undefined) {
    const target = description.components.schemas[schema.$ref.split("/").at(-1) ?? ""]
    return target === undefined ? at(`${schema.$ref} is not described`) : problemsOf(description, target, value, path)
  }
  if (schema.anyOf !== undefined) {
    const all = schema.anyOf.map((one) => problemsOf(description, one, value, path))
    return all.some((problems) => problems.length === 0) ? [] : (all[0] ?? at("fits nothing"))
  }
  if (schema.type === "object") return problemsOfObject(description, schema, value, path)
  if (schema.type === "array") {
    return Array.isArray(value)
      ? value.flatMap((one: Value, index) => problemsOf(description, schema.items ?? {}, one, `${path}[${index}]`))
      : at("is not a list")
  }
  if (typeof value !== "string") return at(`is not of type ${schema.type}`)
  if (schema.type === "integer" && !/^-?\d+$/.test(value)) return at("is not an integer")
  if (schema.type === "boolean" && value !== "true" && value !== "false") return at("is not true or false")
  if (schema.maxLength !== undefined && value.length > schema.maxLength) return at(`is longer than ${schema.maxLength}`)
  return schema.enum === undefined || schema.enum.includes(value) ? [] : at(`"${value}" is none of ${schema.enum.join(", ")}`)
}

const problemsOfObject = (description: Description, schema: Schema, value: Value, path: string): ReadonlyArray<string> => {
  if (typeof value === "string" || Array.isArray(value)) return [`${path}: is not an object`]
  const { additionalProperties = true, properties = {}, required = [] } = schema
  const given = value as { readonly [name: string]: Value }
  const below = (name: string) => (path === "" ? name : `${path}[${name}]`)
  return [
    ...required.filter((name) => !Object.hasOwn(given, name)).map((name) => `${below(name)}: is required`),
    ...Object.entries(given).flatMap(([name, inner]) => {
      const known = properties[name] ?? (typeof additionalProperties === "object" ? additionalProperties : undefined)
      if (known !== undefined) return problemsOf(description, known, inner, below(name))
      return additionalProperties === false ? [`${below(name)}: is not described`] : []
    })
  ]
}

/** The described path of a request: the literal one where there is one, otherwise the template. */
const pathOf = ({ paths }: Description, path: string): string | undefined =>
  Object.hasOwn(paths, path)
    ? path
    : Object.keys(paths).find((template) => new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path))

const check = (description: Description, request: Recorded): ReadonlyArray<string> => {
  const template = pathOf(description, request.path)
  const operation = template === undefined ? undefined : description.paths[template]?.[request.method.toLowerCase()]
  if (operation === undefined) return [`${request.method} ${request.path.replace(/\w+_fake\w+/, "{id}")}: is not described`]
  const query = (operation.parameters ?? []).filter((one) => one.in === "query")
  const ofQuery: Schema = {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(query.map((one) => [one.name, one.schema])),
    required: query.filter((one) => one.required === true).map((one) => one.name)
  }
  const ofForm = operation.requestBody?.content["application/x-www-form-urlencoded"]?.schema ?? {}
  const problems = [
    ...problemsOf(description, ofQuery, nested(request.query), ""),
    ...(request.method === "GET" ? [] : problemsOf(description, ofForm, nested(request.body), "")),
    ...(request.method === "GET" || (request.headers["idempotency-key"]?.length ?? 256) <= 255 ? [] : ["no idempotency key"])
  ]
  return problems.map((problem) => `${request.method} ${template}: ${problem}`)
}

const [descriptionFile, recordFile] = process.argv.slice(2)
if (descriptionFile === undefined || recordFile === undefined) {
  process.stderr.write("usage: node scripts/stripe-spec.ts SPEC.json REQUESTS.jsonl\n")
  process.exit(2)
}
const description = JSON.parse(readFileSync(descriptionFile, "utf8")) as Description
const requests = readFileSync(recordFile, "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Recorded)
const found = new Map<string, number>()
for (const problem of requests.flatMap((request) => check(description, request))) found.set(problem, (found.get(problem) ?? 0) + 1)
const kinds = new Set(requests.map(({ method, path }) => `${method} ${pathOf(description, path)}`))
process.stdout.write(`${requests.length} requests of ${kinds.size} kinds against the description of ${description.info.version}\n`)
for (const [problem, count] of found) process.stdout.write(`${problem} (${count} requests)\n`)
process.exit(found.size === 0 && requests.length > 0 ? 0 : 1)
