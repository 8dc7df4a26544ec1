/**
 * Texts that come from a hook, as they may be kept: events hold them for ever, and callers and logs are shown them.
 *
 * A card number in a text is replaced, never a reason to refuse the answer it stands in: a check that blocks a payment blocks it. What else is
 * personal nobody can tell from a text; docs/hooks.md says that hooks leave it out.
 */
import { looksLikeCardNumber } from "../payment/PaymentMethod.ts"

/** 13 digits and more, with nothing between them but what people separate groups with. */
const digitsInGroups = /\d(?:[\s._/\-\u2010-\u2015]{0,3}\d){12,}/g

/** The most digits of a card number (ISO/IEC 7812). */
const longestCard = 19

/**
 * No longer than any card number, so a text never grows. A card number in groups is at most 19 digits and 18 separators of 3 characters:
 * what is read of a long text is enough for `max` characters of what is left of it.
 */
const replacement = "[card number]"
const readFor = (max: number): number => max * 6 + 100

/** A text without card numbers, of at most `max` characters, and such as every store takes: without NUL and half surrogate pairs. */
export const clean = (text: string, max: number): string =>
  text
    .slice(0, readFor(max))
    .replaceAll(digitsInGroups, (run) => withoutCards(run, replacement))
    .slice(0, max)
    .replaceAll("\u0000", "")
    .replaceAll(/\p{Surrogate}/gu, "\ufffd")

/** The same for a code of `a-z 0-9 _`, which it still is afterwards. */
export const cleanCode = (code: string): string => code.replaceAll(digitsInGroups, (run) => withoutCards(run, "card_number"))

/** Of the groups of digits every row of neighbours that is a card number is replaced, the longest where several begin with one group. */
const withoutCards = (run: string, by: string): string => {
  // Groups stand at even places, what separates them at odd ones.
  const parts = run.split(/(\D+)/)
  const kept: Array<string> = []
  for (let at = 0; at < parts.length; at++) {
    const end = at % 2 === 0 ? cardEnd(parts, at) : undefined
    kept.push(end === undefined ? (parts[at] ?? "") : by)
    at = end ?? at
  }
  return kept.join("")
}

/** The place of the last group of a card number that begins here. */
const cardEnd = (parts: ReadonlyArray<string>, first: number): number | undefined => {
  let digits = ""
  let end: number | undefined
  for (let at = first; at < parts.length && digits.length < longestCard; at += 2) {
    digits += parts[at]
    if (looksLikeCardNumber(digits)) end = at
  }
  return end
}
