/**
 * A strict reader of the text format of Prometheus, version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/): whatever
 * the format does not allow is an error, and so is what is allowed and confusing, such as a family in two places.
 */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: ReadonlyArray<Sample>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*$/

const fail = (line: string, problem: string): never => {
  throw new Error(`${problem}: ${line}`)
}

/** Reads `{name="value",...}` from its first brace; answers the labels and what follows. */
const labelsOf = (line: string, from: number): readonly [Record<string, string>, number] => {
  const labels: Record<string, string> = {}
  let at = from + 1
  while (line[at] !== "}") {
    const equals = line.indexOf("=", at)
    const name = line.slice(at, equals)
    if (!labelName.test(name) || name.startsWith("__") || name in labels) fail(line, `bad label ${name}`)
    if (line[equals + 1] !== '"') fail(line, "a label value is quoted")
    let value = ""
    for (at = equals + 2; line[at] !== '"'; at++) {
      if (at >= line.length) fail(line, "a label value does not end")
      if (line[at] !== "\\") value += line[at]
      else {
        const escaped = { "\\": "\\", '"': '"', n: "\n" }[line[++at] ?? ""]
        value += escaped ?? fail(line, "unknown escape")
      }
    }
    labels[name] = value
    at++
    if (line[at] === ",") at++
    else if (line[at] !== "}") fail(line, "labels are separated by commas")
  }
  return [labels, at + 1]
}

const valueOf = (text: string, line: string): number => {
  if (text === "+Inf") return Number.POSITIVE_INFINITY
  if (text === "-Inf") return Number.NEGATIVE_INFINITY
  if (text === "NaN") return Number.NaN
  return /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text) ? Number(text) : fail(line, "not a number")
}

const sampleOf = (line: string): Sample => {
  const brace = line.indexOf("{")
  const space = line.indexOf(" ")
  const end = brace === -1 || (space !== -1 && space < brace) ? space : brace
  const name = line.slice(0, end)
  if (!metricName.test(name)) fail(line, "bad name")
  const [labels, rest] = end === brace ? labelsOf(line, brace) : [{}, space]
  if (line[rest] !== " ") fail(line, "a value follows after a space")
  return { name, labels, value: valueOf(line.slice(rest + 1), line) }
}

const keyOf = ({ labels, name }: Sample, without?: string): string =>
  JSON.stringify([
    name,
    ...Object.entries(labels)
      .filter(([label]) => label !== without)
      .toSorted(([left], [right]) => (left < right ? -1 : 1))
  ])

const suffixes: Readonly<Record<string, ReadonlyArray<string>>> = { counter: [""], gauge: [""], histogram: ["_bucket", "_sum", "_count"] }

/** Buckets rise with their bounds, end at +Inf, and agree with the count; every series has all three. */
const checkHistogram = ({ name, samples }: Family): void => {
  const bySeries = Map.groupBy(samples, (sample) => keyOf({ ...sample, name: "" }, "le"))
  for (const [series, all] of bySeries) {
    const buckets = all.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels }) => valueOf(labels["le"] ?? "none", series))
    const counts = buckets.map(({ value }) => value)
    const [count] = all.filter((sample) => sample.name === `${name}_count`)
    const rises = (numbers: ReadonlyArray<number>) => numbers.every((number, index) => index === 0 || number >= (numbers[index - 1] ?? 0))
    if (bounds.at(-1) !== Number.POSITIVE_INFINITY) fail(name, "the last bucket is +Inf")
    if (!rises(bounds) || new Set(bounds).size !== bounds.length) fail(name, "bounds rise")
    if (!rises(counts)) fail(name, `counts of buckets are cumulative (${counts.join(" ")})`)
    if (count === undefined || counts.at(-1) !== count.value) fail(name, "the last bucket is the count")
    if (all.filter((sample) => sample.name === `${name}_sum`).length !== 1) fail(name, "there is one sum")
  }
}

interface Reading {
  readonly families: Array<{ name: string; type: string; help: string; samples: Array<Sample> }>
  readonly seen: Set<string>
  help: readonly [name: string, text: string] | undefined
}

const readType = (reading: Reading, line: string, { name, type }: { readonly name: string; readonly type: string }): void => {
  if (!(type in suffixes)) fail(line, "unknown type")
  if (reading.help?.[0] !== name) fail(line, "HELP comes before TYPE")
  if (reading.families.some((family) => family.name === name)) fail(line, "a family is in one place")
  reading.families.push({ name, type, help: reading.help?.[1] ?? "", samples: [] })
}

const readSample = ({ families, seen }: Reading, line: string): void => {
  const sample = sampleOf(line)
  const family = families.at(-1)
  const suffix = sample.name.slice(family?.name.length)
  if (family === undefined || !sample.name.startsWith(family.name) || !suffixes[family.type]?.includes(suffix))
    fail(line, "not of the family above")
  const key = keyOf(sample)
  if (seen.has(key)) fail(line, "twice")
  seen.add(key)
  family?.samples.push(sample)
}

const checkFamily = (family: Family): void => {
  if (family.samples.length === 0) fail(family.name, "a family has samples")
  if (family.type === "histogram") checkHistogram(family)
  if (family.type !== "counter") return
  if (!family.name.endsWith("_total")) fail(family.name, "a counter ends in _total")
  if (family.samples.some(({ value }) => !(value >= 0))) fail(family.name, "a counter is not negative")
}

/** The families of an answer, or an error. */
export const parse = (text: string): ReadonlyArray<Family> => {
  if (text !== "" && !text.endsWith("\n")) fail("", "the last line ends with a line feed")
  const reading: Reading = { families: [], seen: new Set(), help: undefined }
  for (const line of text.split("\n").slice(0, -1)) {
    const [, kind, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? []
    if (kind === "HELP") reading.help = [name, rest]
    else if (kind === "TYPE") readType(reading, line, { name, type: rest })
    else if (line.startsWith("#") || line.trim() !== line || line === "") fail(line, "neither HELP, TYPE nor a sample")
    else readSample(reading, line)
  }
  for (const family of reading.families) checkFamily(family)
  return reading.families
}
