/**
 * A default: the value, its unit, and where the number comes from.
 */
export interface Preset<A> {
  readonly value: A
  readonly unit: string
  readonly source: string
}

/** A default with its unit and its source. */
export const preset = <A>(value: A, unit: string, source: string): Preset<A> => ({ value, unit, source })
