/**
 * Payments for hosts that are not written in Effect: promises in front, the same programs underneath.
 *
 * ```ts
 * await using aegis = await AegisPay.make({ database: { dataDir: "./payments" }, gateways: [...] }, { merchant: "my-shop" })
 * const answer = await aegis.charge({
 *   key: "order-1001", amount: 4990, currency: "EUR", paymentMethod: { type: "card", token: "tok_success" }
 * })
 * ```
 *
 * A decline is an answer, not an exception; so is an outcome that nobody knows yet (Answers.ts). Promises reject with the classes of Errors.ts.
 *
 * A signal ends the wait, never the payment. `close` takes no new calls, waits for those in hand and for requests of mounted handlers, then for
 * the engine's work, and gives the database back. It may be called twice; calls after it reject with `Closed`. A call in hand that takes longer
 * than `close` waits rejects with `Aborted`, and what it started goes on.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { TenantId } from "../../domain/payment/Ids.ts"
import * as Payments from "../../orchestration/payment/Payments.ts"
import type { ExpiryReport } from "../../orchestration/recovery/Expiry.ts"
import type { RecoveryReport } from "../../orchestration/recovery/Recovery.ts"
import { Hooks, type HookStatus } from "../../services/hooks/Hooks.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import { CallInsideTransaction } from "../../services/HostTransaction.ts"
import { ConfigInvalid } from "../config/Config.ts"
import * as PaymentJson from "../http/PaymentJson.ts"
import * as Answers from "./Answers.ts"
import * as Engine from "./Engine.ts"
import { Aborted, Closed, InvalidRequest, StartFailed, valueOf } from "./Errors.ts"
import * as Handler from "./Handler.ts"
import * as Options from "./Options.ts"
import * as Requests from "./Requests.ts"
import * as Transaction from "./Transaction.ts"

/** Of one call. */
export interface CallOptions {
  /** Ends the wait. What was started goes on. */
  readonly signal?: AbortSignal
}

/** A charge. `amount`: an integer in minor units, 4990 for EUR 49.90. `key`: the same for every repetition of this request, for ever. */
export type ChargeInput = typeof Requests.Charge.Encoded
export type CommandInput = typeof Requests.Command.Encoded
/** All that is left, or `amount`; `final` releases the rest. */
export type CaptureInput = typeof Requests.Capture.Encoded
/** All that is left, or `amount`. */
export type RefundInput = typeof Requests.Refund.Encoded
export type WhichInput = typeof Requests.Which.Encoded
export type ListInput = Omit<typeof Requests.List.Encoded, "from"> & { readonly from?: string | Date }
export type RecoverInput = typeof Requests.Recover.Encoded

type Runtime = ManagedRuntime.ManagedRuntime<Engine.Services, unknown>

/** Why it did not start. */
const startFailed = (error: unknown): Error => {
  if (error instanceof StartFailed || error instanceof ConfigInvalid) return error
  return new StartFailed({ detail: error instanceof Error && error.message !== "" ? error.message : String(error), cause: error })
}

export class AegisPay implements AsyncDisposable {
  readonly #runtime: Runtime
  readonly #settings: Options.Settings
  readonly #calls = new Set<Promise<unknown>>()
  readonly #mounted = new Map<string, Promise<Handler.Mounted>>()
  #closing: Promise<void> | undefined

  private constructor(runtime: Runtime, settings: Options.Settings) {
    this.#runtime = runtime
    this.#settings = settings
  }

  /**
   * Starts the engine: from a configuration, or from a file of one. Rejects with `ConfigInvalid`, which lists every problem, or `StartFailed`
   * (the database is away, its schema is missing); then nothing is left running.
   */
  static async make(config: Options.AegisPayConfig | string, options: Options.AegisPayOptions = {}): Promise<AegisPay> {
    const settings = await Effect.runPromise(Options.load(config, options))
    const runtime: Runtime = ManagedRuntime.make(Engine.layer(settings))
    try {
      await runtime.context()
    } catch (error) {
      await runtime.dispose()
      throw startFailed(error)
    }
    return new AegisPay(runtime, settings)
  }

  /** Creates a payment and charges it. */
  charge(request: ChargeInput, options?: CallOptions): Promise<Answers.ChargeAnswer> {
    return this.#call("charge", this.#charge("charge", request), options)
  }

  /**
   * A transaction on the engine's database, which a payment may join: the host's rows and the payment are written together, or neither
   * (Transaction.ts). Rejects with what `work` rejects with, after the rollback. A signal rolls back until the commit is sent, and then waits for it.
   */
  transaction<A>(work: (transaction: Transaction.Transaction<ChargeInput>) => Promise<A>, options?: CallOptions): Promise<A> {
    const { interrupted, program } = Transaction.make(work, (request: ChargeInput) => this.#charge("prepare", request), options?.signal)
    return this.#call("transaction", program, options, { interrupted })
  }

  /** Continues after the customer's action. */
  confirm(command: CommandInput, options?: CallOptions): Promise<Answers.ChargeAnswer> {
    const program = this.#command("confirm", Requests.Command, command, (payments, decoded) => payments.confirm(decoded))
    return this.#call("confirm", Effect.map(program, Answers.ofCharge), options)
  }

  /** Captures an authorized amount. */
  capture(command: CaptureInput, options?: CallOptions): Promise<Answers.OperationAnswer> {
    const program = this.#command("capture", Requests.Capture, command, (payments, decoded) => payments.capture(decoded))
    return this.#call("capture", Effect.map(program, Answers.ofOperation), options)
  }

  /** Cancels what can be cancelled, or records the wish while the outcome is awaited. */
  cancel(command: CommandInput, options?: CallOptions): Promise<Answers.OperationAnswer> {
    const program = this.#command("cancel", Requests.Command, command, (payments, decoded) => payments.cancel(decoded))
    return this.#call("cancel", Effect.map(program, Answers.ofOperation), options)
  }

  /** Refunds what was captured. */
  refund(command: RefundInput, options?: CallOptions): Promise<Answers.OperationAnswer> {
    const program = this.#command("refund", Requests.Refund, command, (payments, decoded) => payments.refund(decoded))
    return this.#call("refund", Effect.map(program, Answers.ofOperation), options)
  }

  /** A payment as it is now. */
  get(which: WhichInput, options?: CallOptions): Promise<Answers.Payment> {
    const program = this.#command("get", Requests.Which, which, (payments, decoded) => payments.get(decoded))
    return this.#call("get", Effect.map(program, PaymentJson.ofView), options, { isRead: true })
  }

  /** The events of a payment, oldest first, without tokens. */
  events(which: WhichInput, options?: CallOptions): Promise<ReadonlyArray<PaymentJson.PaymentEvent>> {
    const program = this.#command("events", Requests.Which, which, (payments, decoded) => payments.history(decoded))
    return this.#call(
      "events",
      Effect.map(program, (events) => events.map(PaymentJson.ofEvent)),
      options,
      { isRead: true }
    )
  }

  /** Payments, newest first, in pages of 1 to 200; `nextCursor` asks for the next one. */
  list(
    query: ListInput = {},
    options?: CallOptions
  ): Promise<{ readonly data: ReadonlyArray<Answers.Payment>; readonly nextCursor?: string }> {
    const tenantOf = this.#tenantOf("list")
    const program = Effect.gen(function* () {
      const { from, limit, merchant, ...rest } = yield* Requests.decode("list", Requests.List, query)
      const repository = yield* PaymentRepository
      const page = yield* repository.list({
        ...rest,
        tenant: yield* tenantOf(merchant),
        limit: limit ?? Requests.pageSize,
        ...(from === undefined ? {} : { from: Requests.millisOf(from) })
      })
      return { data: page.data.map(PaymentJson.ofView), ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }) }
    })
    return this.#call("list", program, options, { isRead: true })
  }

  /** One round of recovery, of every merchant: for a job. Safe beside everything else, and twice. */
  recover(options: RecoverInput = {}, call?: CallOptions): Promise<RecoveryReport> {
    const { concurrency } = this.#settings.config.recovery
    return this.#call("recover", recoverWith(options, concurrency), call)
  }

  /** Ends what has waited for its customer too long, of every merchant: for a job. */
  expire(call?: CallOptions): Promise<ExpiryReport> {
    const { concurrency } = this.#settings.config.recovery
    return this.#call(
      "expire",
      Payments.Payments.use((payments) => payments.expire({ concurrency })),
      call
    )
  }

  /** The hooks as they stand, in the order in which they run: how often each ran, how long it took, what it did wrong. */
  hooks(call?: CallOptions): Promise<ReadonlyArray<HookStatus>> {
    return this.#call(
      "hooks",
      withHooks([], (registry) => registry.list),
      call,
      { isRead: true }
    )
  }

  /** Switches a hook off or on, for payments that begin after it; false where none has the name. */
  setHookEnabled(name: string, enabled: boolean, call?: CallOptions): Promise<boolean> {
    const program = withHooks(false, (registry) => registry.setEnabled(name, enabled))
    return this.#call("setHookEnabled", program, call, { isRead: true })
  }

  /**
   * The HTTP interface for `node:http` and Express, below `prefix`. Mount it before the host's body parsers. Other addresses go to `next`
   * where there is one. API keys are those of the configuration; webhooks need none.
   */
  nodeHandler(options: { readonly prefix?: string } = {}): Handler.NodeHandler {
    const prefix = Handler.prefixOf(options.prefix)
    return (request, response, next) => {
      if (next !== undefined && Handler.withoutPrefix(request.url ?? "", prefix) === undefined) return next()
      const answered = this.#interface(prefix).then(
        ({ node }) => Handler.whenAnswered(response, () => node(request, response)),
        () => Handler.refuse(response)
      )
      this.#inHand(answered)
    }
  }

  /** The HTTP interface as a function of a Web-standard `Request`. */
  webHandler(options: { readonly prefix?: string } = {}): Handler.WebHandler {
    const prefix = Handler.prefixOf(options.prefix)
    return (request) => {
      const answered = this.#interface(prefix).then(({ web }) => web(request), Handler.refused)
      this.#inHand(answered)
      return answered
    }
  }

  /** The HTTP interface as a Fastify plugin: `app.register(aegis.fastifyPlugin({ prefix: "/pay" }))`. It leaves the host's parsers alone. */
  fastifyPlugin(options: { readonly prefix?: string } = {}): (app: Handler.FastifyLike, _: unknown, done: () => void) => void {
    const prefix = Handler.prefixOf(options.prefix)
    const handle = this.nodeHandler({ prefix })
    return (app, _, done) => {
      // Of this plugin alone: the bytes are read by the interface itself.
      app.removeAllContentTypeParsers()
      app.addContentTypeParser("*", (_request, _payload, parsed) => parsed(null))
      app.all(`${prefix}/*`, (request, reply) => {
        reply.hijack()
        handle(request.raw, reply.raw)
      })
      done()
    }
  }

  /** Takes no new calls, waits for what is in hand, and gives the database back. The same promise however often it is called. */
  close(): Promise<void> {
    if (Transaction.isInside()) return Promise.reject(new CallInsideTransaction({ program: "AegisPay.close" }))
    this.#closing ??= this.#shutDown()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #shutDown(): Promise<void> {
    const { attemptTimeoutMillis, sendWindowMillis, storeWaitMillis } = this.#settings.config.engine
    // A host's own transaction may hang; as long as the engine waits for its own work.
    const limit = Duration.millis(attemptTimeoutMillis + sendWindowMillis + storeWaitMillis)
    await Effect.runPromise(
      Effect.timeoutOption(
        Effect.promise(() => Promise.allSettled(this.#calls)),
        limit
      )
    )
    await this.#runtime.dispose()
  }

  #interface(prefix: string): Promise<Handler.Mounted> {
    if (this.#closing !== undefined) return Promise.reject(new Closed({ method: "handler" }))
    const found = this.#mounted.get(prefix)
    if (found !== undefined) return found
    const made = this.#runtime.runPromise(Handler.build(this.#settings.config.http, this.#runtime.scope, prefix))
    this.#mounted.set(prefix, made)
    // The next request tries again.
    made.catch(() => this.#mounted.delete(prefix))
    return made
  }

  #charge(method: "charge" | "prepare", request: ChargeInput) {
    const tenantOf = this.#tenantOf(method)
    return Effect.gen(function* () {
      const { amount, currency, merchant, paymentMethod, ...rest } = yield* Requests.decode(method, Requests.Charge, request)
      const payments = yield* Payments.Payments
      const charge = { ...rest, tenant: yield* tenantOf(merchant), amount: { currency, minor: amount }, method: paymentMethod }
      return Answers.ofCharge(yield* payments[method](charge))
    })
  }

  #command<A extends { readonly merchant?: TenantId }, I, B, E>(
    method: string,
    schema: Parameters<typeof Requests.decode<A, I>>[1],
    input: unknown,
    run: (payments: Payments.Payments["Service"], decoded: Omit<A, "merchant"> & { readonly tenant: TenantId }) => Effect.Effect<B, E>
  ) {
    const tenantOf = this.#tenantOf(method)
    return Effect.gen(function* () {
      const { merchant, ...rest } = yield* Requests.decode(method, schema, input)
      const payments = yield* Payments.Payments
      return yield* run(payments, { ...rest, tenant: yield* tenantOf(merchant) })
    })
  }

  #tenantOf(method: string) {
    const { merchant: known } = this.#settings
    return (given: TenantId | undefined): Effect.Effect<TenantId, InvalidRequest> => {
      const merchant = given ?? known
      return merchant !== undefined ? Effect.succeed(merchant) : Effect.fail(new InvalidRequest({ method, problems: [nobody] }))
    }
  }

  /**
   * Runs a program for as long as it takes; the signal ends the wait alone, unless the program looks at it itself: then it says what an
   * interruption means. Only the end of the engine interrupts.
   */
  #call<A, E>(
    method: string,
    program: Effect.Effect<A, E, Engine.Services>,
    { signal }: CallOptions = {},
    { interrupted, isRead = false }: { readonly interrupted?: () => Error; readonly isRead?: boolean } = {}
  ): Promise<A> {
    if (this.#closing !== undefined) return Promise.reject(new Closed({ method }))
    if (!isRead && Transaction.isInside()) return Promise.reject(new CallInsideTransaction({ program: `AegisPay.${method}` }))
    if (signal?.aborted === true) return Promise.reject(new Aborted({ method, started: false, cause: signal.reason }))
    const cutOff = () => new Aborted({ method, started: !isRead })
    const call = this.#runtime.runPromiseExit(program).then((exit) => valueOf(method, exit, interrupted ?? cutOff))
    this.#inHand(call)
    return signal === undefined || interrupted !== undefined ? call : untilAborted(call, signal, method, !isRead)
  }

  /** `close` waits for it. */
  #inHand(call: Promise<unknown>): void {
    this.#calls.add(call)
    const ended = () => void this.#calls.delete(call)
    call.then(ended, ended)
  }
}

/** Without hooks there is no registry. */
const withHooks = <A>(otherwise: A, use: (registry: Hooks["Service"]) => Effect.Effect<A>): Effect.Effect<A> =>
  Effect.flatMap(Effect.serviceOption(Hooks), (found) => (found._tag === "None" ? Effect.succeed(otherwise) : use(found.value)))

const nobody = {
  path: "merchant",
  message: 'whose payment? give the request a merchant, or AegisPay.make one for all: { merchant: "my-shop" }'
}

const recoverWith = Effect.fnUntraced(function* (input: RecoverInput, concurrency: number) {
  const options = yield* Requests.decode("recover", Requests.Recover, input)
  const payments = yield* Payments.Payments
  return yield* payments.recover({ concurrency, ...options })
})

/** Rejects when the signal is aborted; the call goes on. */
const untilAborted = <A>(call: Promise<A>, signal: AbortSignal, method: string, started: boolean): Promise<A> =>
  new Promise((resolve, reject) => {
    const abort = () => reject(new Aborted({ method, started, cause: signal.reason }))
    signal.addEventListener("abort", abort, { once: true })
    const done = () => signal.removeEventListener("abort", abort)
    call.then(
      (value) => (done(), resolve(value)),
      (error: unknown) => (done(), reject(error))
    )
  })
