/**
 * Values with a version: what an optimistic update is decided by.
 *
 * A version is 1 when a value is inserted and grows by 1 with every update. The status is the part of a value that a change may insist
 * on ("pay only what is open"); a kind of entity that has none leaves it undefined.
 */

/** A value as it was read. */
export interface Versioned<A> {
  readonly value: A
  readonly version: number
  readonly status: string | undefined
}

/** What must hold for an update: the version that was read, and one of the statuses where they are given. */
export interface Expected {
  readonly version: number
  readonly statuses?: ReadonlyArray<string>
}

/** What an update insisted on and did not find: somebody else was faster (`version`), or the value must not be changed (`status`). */
export type Mismatch = "version" | "status"

/** What does not hold of a value; a newer version comes first, since then the status says nothing about what was decided. */
export const mismatch = (
  current: { readonly version: number; readonly status: string | undefined },
  expected: Expected
): Mismatch | undefined => {
  if (current.version !== expected.version) return "version"
  return hasStatus(current.status, expected.statuses) ? undefined : "status"
}

/** Is the status one of those wanted? Always where none are named. */
export const hasStatus = (status: string | undefined, wanted: ReadonlyArray<string> | undefined): boolean =>
  wanted === undefined || (status !== undefined && wanted.includes(status))
