/**
 * A real browser for a test: the Chromium of the machine, without a window, with a profile of its own, ended with the test's scope.
 *
 * `AEGISPAY_TEST_CHROMIUM` names the program; otherwise it is looked for in PATH. Where there is none, `suites` leaves the tests out and
 * says so in one line. Nothing is ever downloaded, and the pages reach nothing but their own document.
 */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium, type Page } from "playwright-core"

const programVariable = "AEGISPAY_TEST_CHROMIUM"
const screenshotsVariable = "AEGISPAY_TEST_SCREENSHOTS"
/** The names that .ci/lib.sh looks for. */
const programs = ["chromium", "chromium-browser", "google-chrome"]

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const inPath = programs.flatMap((name) => (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, name)))
const named = process.env[programVariable]
const program = named === undefined || named === "" ? inPath.find(isProgram) : named

/** Suites that need a browser. */
export const suites = (name: string, define: () => void): void => {
  const missing = program === undefined
  if (missing) process.stderr.write(`${name}: skipped, there is no chromium on this machine (or name one in ${programVariable})\n`)
  describe.skipIf(missing)(name, define)
}

/** No account of the machine's user, and no traffic of the browser's own. */
const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync"
]

/** A running browser. */
export const launch: Effect.Effect<Browser, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({ ...(program === undefined ? {} : { executablePath: program }), args: flags, headless: true, timeout: 30_000 })
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** A page, and all that it did beyond showing its document. */
export interface OpenPage {
  readonly page: Page
  /** Requests but for the document, messages on the console, errors and dialogs. */
  readonly noises: ReadonlyArray<string>
}

export interface Look {
  readonly width: number
  readonly colorScheme: "light" | "dark"
}

/** Opens a document from a file, as somebody would who was sent it. */
export const open = Effect.fnUntraced(function* (browser: Browser, document: string, { colorScheme, width }: Look) {
  const folder = yield* temporaryFolder
  const file = join(folder, "document.html")
  writeFileSync(file, document)
  const url = pathToFileURL(file).href
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => browser.newContext({ viewport: { width, height: 900 }, colorScheme })),
    (context) => Effect.promise(() => context.close())
  )
  const noises: Array<string> = []
  return yield* Effect.promise(async (): Promise<OpenPage> => {
    await context.route("**", (route) => {
      if (route.request().url() === url) return route.continue()
      return route.abort()
    })
    const page = await context.newPage()
    page.on("request", (request) => request.url() !== url && noises.push(`request: ${request.url()}`))
    page.on("console", (message) => noises.push(`console: ${message.text()}`))
    page.on("pageerror", (error) => noises.push(`error: ${error.message}`))
    page.on("dialog", (dialog) => {
      noises.push(`dialog: ${dialog.message()}`)
      void dialog.dismiss()
    })
    await page.goto(url)
    return { page, noises }
  })
})

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "aegispay-browser-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A screenshot of the whole page; kept in the folder that `AEGISPAY_TEST_SCREENSHOTS` names, if it does. */
export const screenshot = (page: Page, name: string): Effect.Effect<Buffer> =>
  Effect.promise(async () => {
    const folder = process.env[screenshotsVariable]
    const taken = await page.screenshot({ fullPage: true })
    if (folder !== undefined && folder !== "") {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, `${name}.png`), taken)
    }
    return taken
  })

/** Colours of a picture (`#RRGGBB`), with how many pixels have each: counted by the browser, on an empty page. */
export const coloursOf = (empty: Page, png: Buffer): Effect.Effect<Readonly<Record<string, number>>> =>
  Effect.promise(() => empty.evaluate(countPixels, png.toString("base64")))

/** Runs in the browser. */
const countPixels = async (base64: string): Promise<Record<string, number>> => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  const { createImageBitmap, OffscreenCanvas } = globalThis as unknown as Canvas
  const image = await createImageBitmap(new Blob([bytes]))
  const canvas = new OffscreenCanvas(image.width, image.height)
  const context = canvas.getContext("2d")
  context.drawImage(image, 0, 0)
  const { data } = context.getImageData(0, 0, image.width, image.height)
  const counts: Record<string, number> = {}
  for (let at = 0; at < data.length; at += 4) {
    const colour =
      `#${[data[at], data[at + 1], data[at + 2]].map((part) => (part ?? 0).toString(16).padStart(2, "0")).join("")}`.toUpperCase()
    counts[colour] = (counts[colour] ?? 0) + 1
  }
  return counts
}

/** What this uses of a browser's globals; the project is compiled without the types of a browser. */
interface Canvas {
  readonly createImageBitmap: (blob: Blob) => Promise<{ readonly width: number; readonly height: number }>
  readonly OffscreenCanvas: new (
    width: number,
    height: number
  ) => {
    readonly getContext: (kind: "2d") => {
      readonly drawImage: (image: unknown, x: number, y: number) => void
      readonly getImageData: (x: number, y: number, width: number, height: number) => { readonly data: Uint8ClampedArray }
    }
  }
}
