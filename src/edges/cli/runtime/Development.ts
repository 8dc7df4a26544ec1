/**
 * The set-up that needs no configuration: an embedded database, a sandbox with three accounts, one API key, all below one
 * directory.
 *
 *     postgres/        the embedded database
 *     sandbox/         the sandbox' state, so that it remembers charges over a restart as a PSP does
 *     sandbox.port     the sandbox' port: part of its accounts' identity, hence kept (rule 14)
 *     api.key          the API key, mode 0600
 *     fingerprint.key  the key of idempotency fingerprints, mode 0600
 *
 * It goes through the same decoder as a file, so `AEGISPAY_*` variables override it. The sandbox' webhooks are signed with its public
 * default secrets, as its keys are public.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { makeDirectory } from "../../../layers/postgres/embedded/MakeDirectory.ts"
import * as Sandbox from "../../../sandbox/Options.ts"
import * as Config from "../../config/Config.ts"
import { Scope } from "../../config/ConfigSchema.ts"
import { cannotRun, type Failure } from "../Failure.ts"
import { freePort } from "./FreePort.ts"
import type { Target } from "./Target.ts"

/** What the development set-up has besides its configuration. */
export interface Development {
  readonly dataDir: string
  readonly apiKey: Redacted.Redacted
}

/** Where it is unless `--data-dir` says otherwise. */
const defaultDataDir = ".aegispay"
/** The merchant of the API key. */
const merchant = "development"
/** The sandbox' port unless another program has it. */
const preferredSandboxPort = 9090
const keyVariable = "AEGISPAY_DEVELOPMENT_API_KEY"
/** Where the decoder looks up the secret of an account's webhooks. */
const webhookVariable = (account: string) => `AEGISPAY_DEVELOPMENT_WEBHOOK_SECRET_${account.toUpperCase()}`

/** The process' environment: here is where it is read. */
export const environment = (): Config.Environment => process.env

/** The set-up of a directory; what is missing is made. */
export const load = Effect.fnUntraced(function* (options: {
  readonly dataDir: string | undefined
  readonly environment: Config.Environment
}): Effect.fn.Return<Target, Failure> {
  const { environment } = options
  const dataDir = Path.resolve(options.dataDir ?? environment["AEGISPAY_DATABASE_DATA_DIR"] ?? defaultDataDir)
  const keep = (name: string, make: () => Promise<string>) =>
    Effect.tryPromise({
      try: () => keptIn(Path.join(dataDir, name), make),
      catch: (error) =>
        cannotRun(`${Path.join(dataDir, name)} cannot be read or written (${codeOf(error)}); use another directory with --data-dir`)
    })
  const apiKey = yield* keep("api.key", () => Promise.resolve(`sk_dev_${randomBytes(24).toString("base64url")}`))
  const port =
    environment["AEGISPAY_SANDBOX_PORT"] ?? (yield* keep("sandbox.port", async () => String(await freePort(preferredSandboxPort))))
  const config = yield* Effect.fromResult(
    Config.decode({
      input: {
        database: { dataDir },
        gateways: Sandbox.defaultAccounts.map(({ captures, leavesOpenAfterDecline, name }) => ({
          name: `sandbox-${name}`,
          kind: "sandbox",
          baseUrl: `http://127.0.0.1:${port}/${name}`,
          webhookSecret: `env:${webhookVariable(name)}`,
          captures: captures ?? "single",
          leavesOpenAfterDecline: leavesOpenAfterDecline ?? false
        })),
        sandbox: { port: Number(port), directory: Path.join(dataDir, "sandbox") },
        http: { apiKeys: [{ merchant, key: `env:${keyVariable}`, scopes: Scope.literals }] }
      },
      environment: {
        ...environment,
        [keyVariable]: apiKey,
        ...Object.fromEntries(Sandbox.defaultAccounts.map(({ name }) => [webhookVariable(name), `whsec_sandbox_${name}`])),
        ...(options.dataDir === undefined ? {} : { AEGISPAY_DATABASE_DATA_DIR: undefined })
      },
      source: "environment"
    })
  ).pipe(Effect.mapError((error) => cannotRun(error.message)))
  return { config, source: dataDir, development: { dataDir, apiKey: Redacted.make(apiKey) } }
})

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error)

/** The content of a file, made once: of two processes that make it at once both read the same. */
const keptIn = async (path: string, make: () => Promise<string>): Promise<string> => {
  const found = await Fs.readFile(path, "utf8").catch(unless("ENOENT"))
  if (found !== undefined && found.trim() !== "") return found.trim()
  // Where root runs this, the database's server runs as another account, which has to be able to enter.
  await makeDirectory(Path.dirname(path), 0o711)
  const making = `${path}.${process.pid}-${randomBytes(4).toString("hex")}`
  await Fs.writeFile(making, `${await make()}\n`, { mode: 0o600, flag: "wx", flush: true })
  await Fs.link(making, path).catch(unless("EEXIST"))
  await Fs.rm(making, { force: true })
  return (await Fs.readFile(path, "utf8")).trim()
}

const unless = (code: string) => (error: unknown) => {
  if (codeOf(error) === code) return undefined
  throw error
}
