/**
 * HTML out of text: whatever is put into it is escaped, unless it is HTML already.
 *
 * ```ts
 * html`<td class="${kind}">${"<script>"}</td>` // <td class="...">&lt;script&gt;</td>
 * ```
 *
 * **Gotchas**: attributes are written with double quotes, and no value is ever put into a script, a style or a URL.
 */

/** Text that is HTML. Made by `html` and `trusted` only. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** What can be put into HTML; `undefined` is nothing. */
export type Content = string | number | Html | undefined | ReadonlyArray<Content>

/** A piece of HTML with its contents. */
export const html = (pieces: TemplateStringsArray, ...contents: ReadonlyArray<Content>): Html =>
  new Html(pieces.map((piece, index) => piece + textOf(contents[index])).join(""))

/** Text of this program's own that is HTML. */
export const trusted = (text: string): Html => new Html(text)

const textOf = (content: Content): string => {
  if (content === undefined) return ""
  if (content instanceof Html) return content.text
  return typeof content === "object" ? content.map(textOf).join("") : escape(String(content))
}

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" }

/**
 * Text that stands in HTML, between tags and in an attribute. What no document may hold (control characters, halves of surrogate pairs) and
 * what would turn the text around it (direction marks) is shown as a replacement character.
 */
export const escape = (text: string): string => clean(text).replaceAll(/[&<>"']/g, (character) => entities[character] ?? character)

/** The text without what no document may hold. */
export const clean = (text: string): string =>
  text.toWellFormed().replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]/g, "\ufffd")
