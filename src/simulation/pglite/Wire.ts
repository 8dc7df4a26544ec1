/**
 * The little of the Postgres protocol (version 3, "Message Flow" in its manual) that carrying it needs: where a client's messages end, what
 * belongs together, and what a server's answer says. Pure.
 */

/** The first message has no type; it tells what the connection is for. */
const cancelRequest = 80_877_102
const sslRequest = 80_877_103

/** What a client sent, cut into what the server takes at once: all up to a Sync, a Query or a Flush. */
export interface Frames {
  /** Takes bytes; answers the batches that they complete. */
  readonly push: (chunk: Uint8Array) => ReadonlyArray<Batch>
}

/** `Start` opens the session, `Terminate` ends it; `Refused` asks for what there is not (encryption, cancelling). */
export interface Batch {
  readonly kind: "Start" | "Statement" | "Terminate" | "Refused"
  readonly bytes: Uint8Array
}

const code = (letter: string): number => letter.charCodeAt(0)
const ends: ReadonlySet<number> = new Set(["S", "Q", "H", "p"].map(code))
const terminate = code("X")

export const frames = (): Frames => {
  let rest = Buffer.alloc(0)
  let gathered: Array<Uint8Array> = []
  let started = false

  const next = (): Batch | undefined => {
    if (!started) {
      if (rest.length < 8 || rest.length < rest.readInt32BE(0)) return undefined
      const bytes = take(rest.readInt32BE(0))
      const what = bytes.readInt32BE(4)
      if (what === cancelRequest || what === sslRequest) return { kind: "Refused", bytes }
      started = true
      return { kind: "Start", bytes }
    }
    while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
      const bytes = take(rest.readInt32BE(1) + 1)
      const type = bytes[0] ?? 0
      if (type === terminate) return { kind: "Terminate", bytes }
      gathered.push(bytes)
      if (!ends.has(type)) continue
      const batch = Buffer.concat(gathered)
      gathered = []
      return { kind: "Statement", bytes: batch }
    }
    return undefined
  }

  const take = (length: number): Buffer => {
    const bytes = Buffer.from(rest.subarray(0, length))
    rest = rest.subarray(length)
    return bytes
  }

  return {
    push: (chunk) => {
      rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
      const batches: Array<Batch> = []
      for (let batch = next(); batch !== undefined; batch = next()) batches.push(batch)
      return batches
    }
  }
}

/** A statement of the simple protocol. */
export const query = (text: string): Uint8Array => {
  const bytes = Buffer.from(`${text}\0`)
  const head = Buffer.alloc(5)
  head[0] = code("Q")
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

/** What a server's answer says. */
export interface Answer {
  /** Of the last ReadyForQuery: idle, in a transaction, in one that failed. None: the session is not ready for others. */
  readonly status: "I" | "T" | "E" | undefined
  /** The fields of the rows as text. Only what the simple protocol answers is text. */
  readonly rows: ReadonlyArray<ReadonlyArray<string | null>>
  /** The fields of the first error: its code and its sentence. */
  readonly error: string | undefined
}

export const readAnswer = (answer: Uint8Array): Answer => {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength)
  const rows: Array<ReadonlyArray<string | null>> = []
  let status: Answer["status"]
  let error: string | undefined
  for (let at = 0; bytes.length - at >= 5; at += bytes.readInt32BE(at + 1) + 1) {
    const body = bytes.subarray(at + 5, at + 1 + bytes.readInt32BE(at + 1))
    switch (String.fromCharCode(bytes[at] ?? 0)) {
      case "Z":
        status = String.fromCharCode(body[0] ?? 0) as "I" | "T" | "E"
        break
      case "D":
        rows.push(readRow(body))
        break
      case "E":
        error ??= readError(body)
        break
    }
  }
  return { status, rows, error }
}

/** The status alone: it stands in the last six bytes of an answer. */
export const statusOf = (answer: Uint8Array): Answer["status"] =>
  answer.length >= 6 && answer[answer.length - 6] === code("Z")
    ? (String.fromCharCode(answer[answer.length - 1] ?? 0) as "I" | "T" | "E")
    : undefined

const readRow = (body: Buffer): ReadonlyArray<string | null> => {
  const fields: Array<string | null> = []
  let at = 2
  for (let left = body.readInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at)
    at += 4
    fields.push(length < 0 ? null : body.toString("utf8", at, at + length))
    if (length > 0) at += length
  }
  return fields
}

const readError = (body: Buffer): string => {
  const fields = body.toString("utf8").split("\0")
  const field = (letter: string) => fields.find((one) => one.startsWith(letter))?.slice(1) ?? ""
  return `${field("C")} ${field("M")}`
}
