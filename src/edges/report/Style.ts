/**
 * How the report looks: on white and on black as the reader's system is set, on a telephone, and on paper.
 */
export const style = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --edge: #d0d7de; --panel: #f6f8fa;
  --good: #00694d; --bad: #a83a00; --warn: #7a5200; --on-badge: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --ink: #e6e9ed; --quiet: #9aa4af; --edge: #313943; --panel: #171c23;
    --good: #4cc79d; --bad: #ff9a5c; --warn: #f0bd4a; --on-badge: #0f1318;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 24px 20px 48px; max-width: 980px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: 26px; line-height: 1.25; margin: 4px 0 8px; }
h2 { font-size: 19px; margin: 40px 0 10px; padding-top: 14px; border-top: 1px solid var(--edge); }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0 10px; }
ul { margin: 6px 0 10px; padding-left: 20px; }
.kind, .quiet, figcaption, footer { color: var(--quiet); }
.kind { font-size: 13px; }
.badge { display: inline-block; padding: 2px 10px; border-radius: 4px; color: var(--on-badge); font-weight: 600; }
.badge.good { background: var(--good); } .badge.bad { background: var(--bad); } .badge.warn { background: var(--warn); }
.good-text { color: var(--good); } .bad-text { color: var(--bad); font-weight: 600; } .warn-text { color: var(--warn); }
.reasons { border-left: 3px solid var(--bad); padding-left: 14px; margin: 14px 0; }
.reasons ul { list-style: none; padding: 0; }
.code { color: var(--quiet); font-size: 13px; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 14px; }
a { color: inherit; text-underline-offset: 3px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(118px, 1fr)); gap: 10px; margin: 16px 0; }
.tiles div {
  display: flex; flex-direction: column; justify-content: space-between;
  background: var(--panel); border: 1px solid var(--edge); border-radius: 6px; padding: 8px 10px;
}
.tiles dt { font-size: 13px; line-height: 1.35; color: var(--quiet); }
.tiles dd { margin: 0; font-size: 18px; white-space: nowrap; font-variant-numeric: tabular-nums; }
.facts { display: grid; grid-template-columns: minmax(96px, max-content) 1fr; gap: 3px 18px; margin: 8px 0; }
.facts dt { color: var(--quiet); } .facts dd { margin: 0; }
.scroll { overflow-x: auto; margin: 8px 0 14px; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); font-size: 13px; padding: 0 0 4px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--edge); text-align: left; vertical-align: top; overflow-wrap: normal; }
td.text { overflow-wrap: anywhere; min-width: 160px; }
thead th { color: var(--quiet); font-weight: 600; font-size: 13px; }
tbody th { font-weight: 400; }
.n { text-align: right; white-space: nowrap; }
figure { margin: 26px 0; }
figure h3 { margin: 0; font-size: 16px; }
figcaption { font-size: 14px; margin: 2px 0 8px; }
.legend { list-style: none; padding: 0; margin: 0 0 4px; display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px; }
.legend li { display: inline-flex; align-items: center; gap: 6px; }
.legend svg { flex: none; }
figure > svg { display: block; width: 100%; height: auto; color: var(--ink); }
svg text { font-family: inherit; }
svg.narrow { display: none; }
details { font-size: 14px; margin-top: 4px; }
summary { cursor: pointer; color: var(--quiet); }
footer { margin-top: 40px; padding-top: 14px; border-top: 1px solid var(--edge); font-size: 13px; }
@media screen and (max-width: 640px) {
  body { padding: 16px 14px 32px; }
  h1 { font-size: 22px; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: 6px; }
  svg.wide { display: none; } svg.narrow { display: block; }
}
@media print {
  :root {
    --page: #ffffff; --ink: #000000; --quiet: #444444; --edge: #bbbbbb; --panel: #ffffff;
    --good: #00694d; --bad: #a83a00; --warn: #7a5200; --on-badge: #ffffff;
  }
  body { max-width: none; padding: 0; font-size: 11pt; }
  nav, details { display: none; }
  figure, table, .tiles { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .badge { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`
