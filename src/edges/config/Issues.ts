/**
 * What is wrong with data from outside, for people: one line per problem, each with the path of the value and what was expected.
 *
 * How it works: the issue tree of a failed decode is flattened; the offending value is looked up in the input and described by its
 * type, or shown where the caller says that it is no secret.
 *
 * Gotcha: names of unknown fields come from outside too. They are shown only while they are short words; a card number sent as a
 * field's name is not.
 */
import * as SchemaIssue from "effect/SchemaIssue"

/** One problem. `path`: `gateways[1].baseUrl`; empty for the value as a whole. */
export interface Problem {
  readonly path: string
  readonly message: string
}

export interface Options {
  /** May the value at this path be shown? Default: never; its type is. */
  readonly showValue?: (path: string) => boolean
  /** The most problems that are listed. Default 20. */
  readonly maxProblems?: number
}

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => {
    switch (issue._tag) {
      case "MissingKey":
        return missing
      case "UnexpectedKey":
        return unknownField
      default:
        return SchemaIssue.defaultLeafHook(issue)
    }
  }
})

const missing = "is required"
const unknownField = "is not a known field"

/** The longest value that is shown. */
const maxShown = 60

/** An address with a user name, a query or a fragment may hold a password or a key, and is shown nowhere. */
const mayHoldSecret = /[@?#]/

/** Flattens an issue. `input` is what was decoded. */
export const problemsOf = (issue: SchemaIssue.Issue, input: unknown, options: Options = {}): ReadonlyArray<Problem> => {
  const seen = new Set<string>()
  const problems: Array<Problem> = []
  for (const found of format(issue).issues) {
    const keys = (found.path ?? []).map((segment) => (typeof segment === "object" ? segment.key : segment))
    const path = pathOf(keys)
    const message = lowerFirst(found.message)
    const problem = { path, message: message.startsWith("expected") ? `${message}${got(keys, input, options.showValue?.(path))}` : message }
    const key = `${problem.path} ${problem.message}`
    if (seen.has(key)) continue
    seen.add(key)
    if (problems.push(problem) === (options.maxProblems ?? 20)) break
  }
  return problems
}

/** `["gateways", 1, "baseUrl"]` is `gateways[1].baseUrl`. Anything but a short word is not repeated. */
export const pathOf = (keys: ReadonlyArray<PropertyKey>): string =>
  keys.reduce<string>((path, key) => {
    if (typeof key === "number") return `${path}[${key}]`
    const name = typeof key === "string" && /^[A-Za-z_$][A-Za-z0-9_.$-]{0,63}$/.test(key) ? key : "[name withheld]"
    return path === "" ? name : `${path}.${name}`
  }, "")

/** `path: message`, or the message alone for the whole value. */
export const describe = (problem: Problem): string => (problem.path === "" ? problem.message : `${problem.path}: ${problem.message}`)

/** A sentence that starts with a word goes on after the path; a code such as `XXX` stays as it is. */
const lowerFirst = (text: string): string => (/^[A-Z][a-z ]/.test(text) ? `${text.charAt(0).toLowerCase()}${text.slice(1)}` : text)

const got = (keys: ReadonlyArray<PropertyKey>, input: unknown, show: boolean | undefined): string => {
  let value = input
  for (const key of keys) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return ""
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  if (show === true && !(typeof value === "string" && mayHoldSecret.test(value))) {
    const text = JSON.stringify(value)
    if (text !== undefined && text.length <= maxShown) return `, got ${text}`
  }
  return `, got ${typeName(value)}`
}

const typeName = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "a list"
  switch (typeof value) {
    case "string":
      return "a string"
    case "number":
      return numberName(value)
    case "boolean":
      return value ? "true" : "false"
    case "object":
      return "an object"
    default:
      return "nothing"
  }
}

/** What is wrong with most numbers, without the number itself. */
const numberName = (value: number): string => {
  if (value === 0) return "zero"
  if (value < 0) return "a negative number"
  if (!Number.isInteger(value) && Number.isFinite(value)) return "a fraction"
  return Number.isSafeInteger(value) ? "a number" : "a number above 2^53-1"
}
