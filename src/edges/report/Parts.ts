/**
 * What sections are made of: tables, lists of facts, charts with their legends.
 */
import type { Chart, LegendEntry, Table } from "./charts/Chart.ts"
import { type Content, html, type Html } from "./Html.ts"

/** A section with its heading; `id`: of this program. */
export const section = (id: string, title: string, ...contents: ReadonlyArray<Content>): Html =>
  html`<section id="${id}">
    <h2>${title}</h2>
    ${contents}
  </section> `

/** How a column of a table is set. */
export type Column = "name" | "number" | "text"

/** A table. `columns`: of the cells, the first of which is the head of its row; numbers where there are none. */
export const table = (
  {
    caption,
    columns = [],
    head
  }: { readonly caption: string; readonly head: ReadonlyArray<string>; readonly columns?: ReadonlyArray<Column> },
  rows: ReadonlyArray<ReadonlyArray<Content>>
): Html => {
  const kind = (column: number): Column => columns[column] ?? (column === 0 ? "name" : "number")
  const classOf = { name: "", number: "n", text: "text" } as const
  const cell = (content: Content, column: number) =>
    column === 0 ? html`<th scope="row">${content}</th>` : html`<td class="${classOf[kind(column)]}">${content}</td>`
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${head.map((text, column) => html`<th scope="col" class="${classOf[kind(column)]}">${text}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            html`<tr>
              ${cells.map(cell)}
            </tr> `
        )}
      </tbody>
    </table>
  </div> `
}

/** Facts by name. */
export const facts = (entries: ReadonlyArray<readonly [name: string, value: Content]>): Html =>
  html`<dl class="facts">
    ${entries.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd> `
    )}
  </dl> `

/** The few figures that are looked at first. */
export const tiles = (entries: ReadonlyArray<readonly [name: string, value: string]>): Html =>
  html`<dl class="tiles">
    ${entries.map(
      ([name, value]) =>
        html`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div> `
    )}
  </dl> `

/** Items one below the other; nothing where there are none. */
export const list = (items: ReadonlyArray<Content>): Html | undefined =>
  items.length === 0
    ? undefined
    : html`<ul>
        ${items.map((item) => html`<li>${item}</li> `)}
      </ul>`

/** A chart: what there is to see, the legend, the picture at its sizes, and the figures for those who do not see it. */
export const figure = ({ description, id, legend, table: figures, title }: Chart, pictures: ReadonlyArray<Html>): Html =>
  html`<figure id="chart-${id}">
    <h3>${title}</h3>
    <figcaption>${description}</figcaption>
    ${
      pictures.length === 0
        ? undefined
        : html`<ul class="legend">
            ${legend.map(legendItem)}
          </ul> `
    }${pictures}
    ${figures.rows.length === 0 ? undefined : asTable(title, figures)}
  </figure> `

const asTable = (title: string, { head, rows }: Table): Html =>
  html`<details>
    <summary>The figures as a table</summary>
    ${table({ caption: title, head }, rows)}
  </details>`

const legendItem = ({ colour, dash = [], label, opacity = 1, shape }: LegendEntry): Html => {
  const picture =
    shape === "box"
      ? html`<rect width="14" height="12" y="1" rx="2" fill="${colour}" fill-opacity="${opacity}" />`
      : html`<line x1="0" x2="26" y1="7" y2="7" stroke="${colour}" stroke-width="2" stroke-dasharray="${dash.join(" ")}" />`
  return html`<li><svg aria-hidden="true" width="${shape === "box" ? 14 : 26}" height="14">${picture}</svg>${label}</li>`
}
