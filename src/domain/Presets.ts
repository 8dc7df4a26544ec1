/**
 * Every default of the project in one place, each with its unit and its source. Sections that are long are files of `presets`.
 */
import { preset } from "./presets/Preset.ts"

export type { Preset } from "./presets/Preset.ts"
export { builtinHooks } from "./presets/BuiltinHooks.ts"
export { chaos } from "./presets/Chaos.ts"
export { experiment } from "./presets/Experiment.ts"
export { hooks } from "./presets/Hooks.ts"
export { routing } from "./presets/Routing.ts"

/** Defaults of one call to a gateway, and of following it up. */
export const gatewayCall = {
  attemptTimeoutMillis: preset(15_000, "ms", "below the 30 s after which browsers and load balancers commonly give up a request"),
  sendWindowMillis: preset(30_000, "ms", "two attempts of 15 s; the first permission to send ends after it (rule 12)"),
  retries: preset(3, "retries after the first attempt", "common PSP guidance: 3 retries with exponential backoff"),
  retryBaseMillis: preset(1_000, "ms", "first retry after 1 s, doubled each time"),
  retryCapMillis: preset(10_000, "ms", "cap of the backoff"),
  retryFactor: preset(2, "factor", "exponential backoff"),
  retryJitter: preset(0.2, "share of the delay, both ways", "spreads the retries of many callers"),
  retryKind: preset("exponential" as const, "strategy", "a gateway that is overloaded is given ever more time"),
  maxPauseMillis: preset(3_600_000, "ms", "the longest pause that a gateway may ask for (Retry-After); it is asked again then"),
  connectLimitMillis: preset(
    4_000,
    "ms",
    "a handshake and two repetitions of its first packet, after 1 and 3 s (RFC 6298); no attempt starts later than this before its permission ends"
  )
} as const

/** The retry budget of a gateway: how much more load retries may make. */
export const retryBudget = {
  earnPerCall: preset(0.2, "tokens per first call", "20 % of the calls, Finagle's default budget (finagle.github.io/blog, Retry Budgets)"),
  maxTokens: preset(
    100,
    "tokens, one per retry; full at the start",
    "as many retries as the AWS SDKs hold in stock: 500 tokens at 5 a retry"
  )
} as const

/** Retries towards a payment provider that is not routed around. */
export const retryPaymentProvider = {
  attempts: preset(3, "attempts, the first included", "required of service resilience"),
  baseMillis: preset(2_000, "ms, doubled each time", "required of service resilience"),
  capMillis: preset(30_000, "ms", "required of service resilience")
} as const

/** Retries towards a fraud check: the customer waits for it. */
export const retryFraudDetection = {
  attempts: preset(2, "attempts, the first included", "required of service resilience"),
  baseMillis: preset(1_000, "ms, doubled each time", "required of service resilience"),
  capMillis: preset(10_000, "ms", "required of service resilience")
} as const

/** Retries towards a database, of what may be repeated. */
export const retryDatabase = {
  attempts: preset(3, "attempts, the first included", "required of service resilience"),
  baseMillis: preset(500, "ms, doubled each time", "required of service resilience"),
  capMillis: preset(5_000, "ms", "required of service resilience")
} as const

/** The bulkhead of a gateway. */
export const bulkhead = {
  concurrency: preset(1_000, "calls at a time", "the rate limiter of .NET's standard resilience pipeline lets as many through"),
  queue: preset(1_000, "calls waiting", "as many as are under way: whoever comes then waits for about one call"),
  maxWaitMillis: preset(2_000, "ms", "about what a slow call takes: whoever waits longer is better off at another gateway")
} as const

/** Defaults of a payment's life. */
export const payment = {
  completeWithinPresentMillis: preset(15 * 60_000, "ms", "a customer who is present waits no longer than a checkout session (rule 12)"),
  completeWithinAbsentMillis: preset(24 * 3_600_000, "ms", "a merchant-initiated charge may be completed within a day"),
  customerWaitMillis: preset(
    24 * 3_600_000,
    "ms",
    "how long a payment waits for the customer; links and checkout sessions commonly live a day"
  ),
  maxExpiries: preset(3, "cancels", "how often expiring is tried at the gateway before a person has to look"),
  maxCharges: preset(3, "charge operations", "first gateway and two failovers"),
  failoverOnSoftDecline: preset(true, "boolean", "soft declines often succeed at another acquirer"),
  lateSuccess: preset("reverse" as const, "policy", "the host was told that nothing was charged (settled question in the protocol)")
} as const

/** Defaults of idempotency (protocol, Answers). */
export const idempotency = {
  waitMillis: preset(5_000, "ms", "protocol: the same key waits up to 5 s for the one in progress"),
  retryAfterMillis: preset(1_000, "ms", "told with 409 when the wait is over")
} as const

/** Defaults of keeping outcomes while the database is away (rule 16). */
export const outcomes = {
  maxUnstored: preset(1_000, "outcomes", "then no new intents are accepted"),
  storeWaitMillis: preset(5_000, "ms", "how long a caller waits for the outcome to be durable before it is told `processing`"),
  retryBaseMillis: preset(100, "ms", "first repetition of a commit that could not be stored"),
  retryCapMillis: preset(5_000, "ms", "cap of the backoff while the database is away")
} as const

/** Defaults of optimistic updates: 5 retries, 10 -> 20 -> 40 -> 80 -> 160 ms, cap 1 s, jitter 0.1. */
export const conflicts = {
  retries: preset(5, "retries", "each conflict means that somebody else made progress"),
  retryBaseMillis: preset(10, "ms", "doubled each time"),
  retryFactor: preset(2, "factor", "10, 20, 40, 80, 160 ms"),
  retryCapMillis: preset(1_000, "ms", "cap"),
  retryJitter: preset(0.1, "share of the delay, both ways", "separates the writers")
} as const

/** Defaults of recovery. */
export const recovery = {
  olderThanMillis: preset(45_000, "ms", "one send window and one attempt: whoever wrote the intent is done by then"),
  intervalMillis: preset(30_000, "ms", "how often a server looks for open operations"),
  startIntervalMillis: preset(
    5_000,
    "ms",
    "how often after a start, until what was in hand then is old enough: 1,000 in flight are done within 60 s"
  ),
  concurrency: preset(
    16,
    "payments",
    "at 200 ms a call 80 calls a second: below the 100 a second that Stripe allows an account in live mode"
  ),
  pageSize: preset(200, "rows", "bounded memory"),
  leaseMillis: preset(60_000, "ms", "how long others wait after a crash; extended every third of it while the work goes on"),
  lookupTimeoutMillis: preset(10_000, "ms", "a question that is not answered is asked again by the next run"),
  pollFirstMillis: preset(30_000, "ms", "first question about what waits for the customer or the gateway, and the shortest wait"),
  pollShare: preset(0.1, "share of the age", "a question a tenth of the age later tells of a change at most a tenth too late"),
  pollCapMillis: preset(3_600_000, "ms", "bank debits take days: a question an hour is enough"),
  holdPollMillis: preset(
    21_600_000,
    "ms",
    "how often a hold that is past its gateway's validity is asked about: networks let some last up to 31 days, and nothing is charged meanwhile"
  ),
  maxResends: preset(5, "permissions to send again per operation", "a stored error is answered for ever: more repetitions tell nothing new")
} as const

/** Defaults of processing webhooks. */
export const webhooks = {
  toleranceSeconds: preset(300, "s, both ways", "the age of a signature that is still accepted, as Stripe documents it"),
  clockSkewMillis: preset(300_000, "ms", "how far ahead a gateway's clock may be: what the tolerance of signatures accepts"),
  concurrency: preset(8, "webhooks", "half as many as recovery works on"),
  leaseMillis: preset(60_000, "ms", "longer than a look-up and a commit take"),
  pollMillis: preset(500, "ms", "how long an event waits while nothing else is to be done"),
  retryBaseMillis: preset(1_000, "ms", "first repetition after a failure, doubled each time"),
  retryCapMillis: preset(600_000, "ms", "cap of the backoff"),
  retryJitter: preset(0.2, "share of the delay, both ways", "spreads the repetitions"),
  maxAttempts: preset(15, "attempts", "with the backoff about an hour; then a dead letter"),
  unknownMaxAgeMillis: preset(
    86_400_000,
    "ms",
    "how long an event waits for its payment; a database restored from a backup is caught up by then"
  ),
  retentionMillis: preset(30 * 86_400_000, "ms", "PSPs repeat events for days, Stripe for three"),
  purgeIntervalMillis: preset(3_600_000, "ms", "how often old events are forgotten"),
  purgePage: preset(1_000, "webhooks", "one statement holds few locks")
} as const

/** Defaults of the relay. */
export const relay = {
  concurrency: preset(16, "payments", "an endpoint is waited for, not worked with"),
  leaseMillis: preset(60_000, "ms", "several deliveries that time out"),
  pollMillis: preset(500, "ms", "how long an event waits while nothing else is to be done"),
  deliveryTimeoutMillis: preset(10_000, "ms", "Standard Webhooks recommends 15 to 30 s; a receiver should store and answer"),
  retryBaseMillis: preset(5_000, "ms", "first repetition after a failure, doubled each time"),
  retryCapMillis: preset(43_200_000, "ms", "cap of the backoff, 12 h"),
  retryJitter: preset(0.2, "share of the delay, both ways", "spreads the repetitions"),
  maxAttempts: preset(15, "attempts", "with the backoff about 23 h: an endpoint may be away for a day; then a dead letter"),
  discardAfterMillis: preset(
    7 * 86_400_000,
    "ms",
    "longer than a receiving process is usually away, a long weekend included; then the outbox of a merchant without a receiver stops growing"
  ),
  unwantedBaseMillis: preset(1_000, "ms", "first wait of events that have no receiver here: another relay may have one"),
  unwantedCapMillis: preset(3_600_000, "ms", "cap of that wait, a quarter of their age otherwise: some 200 looks in a week"),
  discardPage: preset(100, "payments", "one statement holds few locks"),
  discardIntervalMillis: preset(3_600_000, "ms", "how often what nobody received is taken off; a fraction of a week"),
  pauseAfterFailures: preset(3, "failures in a row", "then an endpoint is tried by one delivery at a time"),
  pauseBaseMillis: preset(1_000, "ms", "first pause of a failing endpoint, doubled each time"),
  pauseCapMillis: preset(60_000, "ms", "cap of the pause: how soon an endpoint that came back is noticed")
} as const

/** Defaults of the gateways' metrics. */
export const gatewayMetrics = {
  minimumSamples: preset(20, "calls", "of fewer the 95th percentile is their maximum; below it a broader segment is asked"),
  warmStartEvents: preset(20_000, "events", "read at a start: about 5,000 payments, more than enough for every rate, read within seconds")
} as const

/** What estimating another policy from recorded decisions needs. */
export const routingReplay = {
  minEffectiveSamples: preset(
    100,
    "observations after weighting",
    "a success rate of 90 % is then known within 6 points; what is known less well is not worth deciding by"
  ),
  maxUnsupportedShare: preset(
    0.05,
    "share of the other policy's choices that were never or hardly tried",
    "what they would have done is not known at all: the interval of the success rate gets wider by as much"
  ),
  maxLeftOutShare: preset(
    0.05,
    "share of the decisions that cannot be used",
    "they are not like the others: left out, they may move the success rate by as much"
  ),
  minChoices: preset(10, "recorded choices of a gateway", "with fewer, a normal approximation says nothing of it (np of at least 10)"),
  weightClip: preset(
    100,
    "weight, in plain weighting only",
    "of a choice that was made once in a hundred: the default exploration of 5 % among up to five other gateways is not cut"
  ),
  maxFollowed: preset(10_000, "payments whose first charge is open", "some 50 MB; beyond it the oldest are read by themselves")
} as const

/** Defaults of locks. */
export const lock = {
  ttlMillis: preset(30_000, "ms", "long enough to survive a garbage collection or a slow query, short enough to wait for")
} as const

/** Defaults of circuit breakers: one per gateway and kind of operation. */
export const breaker = {
  failureThreshold: preset(5, "failures in a row", "requirement A6; the usual default of consecutive breakers"),
  failureRateThreshold: preset(0.5, "share of calls", "requirement A6; Hystrix and resilience4j default to 50 % too"),
  windowMillis: preset(60_000, "ms", "as long as the open time: a breaker that is half-open has forgotten what opened it"),
  minimumCalls: preset(20, "calls in the window", "Hystrix circuitBreaker.requestVolumeThreshold: below it a rate says little"),
  successThreshold: preset(3, "quick answers", "requirement A6: one success may be luck"),
  openTimeoutMillis: preset(60_000, "ms", "requirement A6; resilience4j waitDurationInOpenState defaults to 60 s too"),
  openTimeoutFactor: preset(1, "factor", "off: the open time does not grow"),
  openTimeoutCapMillis: preset(600_000, "ms", "where the open time grows: how late a gateway that came back is noticed"),
  halfOpenTimeoutMillis: preset(30_000, "ms", "requirement A6; two attempts of 15 s: whoever has not answered by then will not"),
  halfOpenMaxAttempts: preset(5, "calls at once", "requirement A6: enough for three successes, few enough to lose"),
  slowCallMillis: preset(10_000, "ms", "two thirds of the time limit of an attempt: what takes so long is about to fail"),
  slowCallRateThreshold: preset(0.8, "share of calls", "below resilience4j's 100 %, which a single quick answer defeats"),
  slowCallMinimumCalls: preset(20, "calls in the window", "as for failures"),
  adaptive: preset(false, "boolean", "off: the fixed threshold is easier to explain"),
  adaptiveFloor: preset(0.2, "share of calls", "4 failures of 20 calls: with fewer the control chart's approximation does not hold"),
  adaptiveCeiling: preset(0.8, "share of calls", "a gateway that loses four of five calls is down, however usual that is"),
  adaptiveHalfLifeMillis: preset(3_600_000, "ms", "the hour that routing looks back"),
  adaptiveMinimumCalls: preset(100, "calls", "then a rate of 10 % is known within 6 points (two standard errors)"),
  minHealthScore: preset(0.5, "score, 0 to 1", "requirement A6; a half-open breaker without failures since has at least 0.55")
} as const

/** Where the breaker of a payment provider differs. */
export const breakerPaymentProvider = {
  failureThreshold: preset(3, "failures in a row", "requirement S2"),
  openTimeoutMillis: preset(30_000, "ms", "requirement S2")
} as const

/** Where the breaker of a fraud check differs. */
export const breakerFraudDetection = {
  failureThreshold: preset(5, "failures in a row", "requirement S2"),
  openTimeoutMillis: preset(60_000, "ms", "requirement S2")
} as const

/** Where the breaker of a source of exchange rates differs. */
export const breakerExchangeRate = {
  failureThreshold: preset(5, "failures in a row", "requirement C1"),
  failureRateThreshold: preset(0.5, "share of calls", "requirement C1"),
  windowMillis: preset(30_000, "ms", "requirement C1"),
  minimumCalls: preset(5, "calls in the window", "requirement C1"),
  openTimeoutMillis: preset(60_000, "ms", "requirement C1")
} as const

/** Defaults of exchange rates. */
export const rates = {
  idleMillis: preset(300_000, "ms", "requirement C2: kept for 5 min, sliding: each use keeps it for another 5 min"),
  primaryMillis: preset(900_000, "ms", "three idle times: a pair that is asked for all the time is still fetched again"),
  emergencyMillis: preset(7_200_000, "ms", "requirement C2: up to 2 h old where no source answers"),
  retries: preset(3, "retries after the first attempt", "requirement C1"),
  retryBaseMillis: preset(200, "ms, doubled each time", "a customer waits: 200, 400, 800 ms"),
  retryCapMillis: preset(1_000, "ms", "cap of the backoff"),
  attemptTimeoutMillis: preset(2_000, "ms", "a source answers within some 100 ms; whoever has not by then is asked again"),
  sourceMillis: preset(4_000, "ms", "an attempt at one source starts no later: two that time out, then the next source is asked"),
  waitMillis: preset(10_000, "ms", "two sources that do not answer; then what is kept or configured is given"),
  sourceAgeMillis: preset(
    5 * 86_400_000,
    "ms",
    "how old a source may say that its rates are: central banks publish on working days, and Easter is four days without"
  ),
  cacheTimeoutMillis: preset(250, "ms", "a local Redis answers in one; without it an instance uses what it fetched itself"),
  maxAnswers: preset(1_000, "answers kept in memory", "one holds some 170 rates, 40 kB; a few sources with one answer per base currency"),
  cleanUpIntervalMillis: preset(300_000, "ms", "how often what is too old for an emergency is removed from memory")
} as const

/** Defaults of the registry of breakers, and of instances telling each other. */
export const breakers = {
  maxBreakers: preset(512, "breakers", "64 gateways with six kinds of operation, and room for other dependencies"),
  transitionsKept: preset(256, "transitions", "what a slow reader of the stream may be behind; then the oldest are dropped"),
  shareEveryMillis: preset(1_000, "ms", "how late an instance learns what another one found out; two short statements a second"),
  shareLimitMillis: preset(5_000, "ms", "the longest one exchange with the store may take"),
  probeOverdueOpenTimes: preset(
    10,
    "open times without a probe",
    "ten minutes by the other presets: longer than small payments keep away where there are any"
  )
} as const

/** Defaults of watching what we depend on. */
export const degradation = {
  checkEveryMillis: preset(30_000, "ms", "requirement C5: probes every 30 s"),
  checkTimeoutMillis: preset(5_000, "ms", "a check asks for something small; whoever takes longer cannot serve a payment either"),
  recoverEveryMillis: preset(120_000, "ms", "requirement C5: recovery attempts every 2 min"),
  recoverTimeoutMillis: preset(30_000, "ms", "connecting anew takes seconds; the checks wait for it"),
  criticalAfter: preset(3, "failed checks in a row", "a restart or a failover takes less than 90 s"),
  healthyAfter: preset(2, "good checks in a row", "one may be luck"),
  staleAfterChecks: preset(3, "intervals without a result", "then nothing is known: a check that hangs must not look healthy"),
  maxDependencies: preset(64, "dependencies", "each is a label of metrics and a fiber"),
  changesKept: preset(256, "changes of level", "what a slow reader of the stream may be behind")
} as const

/** Defaults of the connection to Redis. */
export const redis = {
  prefix: preset("aegispay:", "text before every key", "keeps our keys apart from those of others on the same server"),
  connectTimeoutMillis: preset(
    5_000,
    "ms",
    "a healthy server accepts within milliseconds; the start waits no longer for the first connection"
  ),
  commandTimeoutMillis: preset(
    2_000,
    "ms",
    "a command takes less than a millisecond: one that takes longer will not help a payment any more"
  ),
  maxQueuedCommands: preset(10_000, "commands", "bounded memory while the server is slow; beyond it commands fail at once"),
  reconnectBaseMillis: preset(50, "ms", "first reconnection, doubled each time"),
  reconnectCapMillis: preset(2_000, "ms", "cap of the backoff: how soon a server that came back is noticed"),
  heartbeatMillis: preset(5_000, "ms", "how often a connection is asked whether it still answers"),
  maxUnansweredHeartbeats: preset(2, "PINGs in a row", "then the connection is replaced; one may fall into a failover")
} as const

/** Defaults of rate limits. Those of routes are token buckets: `burst` is what an idle key may use beyond `limit` at once. */
export const rateLimits = {
  initiateLimit: preset(10, "payments per window and user", "product requirement: a person pays a few times a minute at most"),
  initiateWindowMillis: preset(60_000, "ms", "product requirement"),
  initiateBurst: preset(3, "payments", "product requirement: a double click and a retry on top"),
  statusLimit: preset(100, "reads per window and user", "product requirement: a page that polls every second, and some more"),
  statusWindowMillis: preset(60_000, "ms", "product requirement"),
  statusBurst: preset(20, "reads", "product requirement"),
  refundLimit: preset(5, "refunds per window and user", "product requirement: refunds of one customer are rare and worth a look"),
  refundWindowMillis: preset(300_000, "ms", "product requirement"),
  refundBurst: preset(1, "refunds", "product requirement"),
  healthLimit: preset(1_000, "requests per window and address", "product requirement: a few load balancers asking every second"),
  healthWindowMillis: preset(60_000, "ms", "product requirement"),
  healthBurst: preset(100, "requests", "product requirement"),
  unauthorizedLimit: preset(
    30,
    "requests without a valid API key per window and address",
    "a wrong key is a mistake in a configuration: one request every 2 s shows it as well, and guessing gets nowhere"
  ),
  unauthorizedWindowMillis: preset(60_000, "ms", "as for payments"),
  unauthorizedBurst: preset(30, "requests", "what a service has in hand while its key is exchanged"),
  maxKeys: preset(
    100_000,
    "keys in memory",
    "23 to 28 MB, measured; a key is in use for minutes, so this serves many times as many customers a day"
  ),
  storeTimeoutMillis: preset(250, "ms", "a payment does not wait longer than this for a count; a local Redis or Postgres answers in one"),
  storePauseMillis: preset(1_000, "ms", "after a failure the store is asked once a second, so that not every request waits for it"),
  blockedIntervalMillis: preset(15_000, "ms", "how often blocked keys are counted: as often as metrics are commonly scraped"),
  cleanUpIntervalMillis: preset(10_000, "ms", "how often an instance looks for idle rows"),
  cleanUpPage: preset(1_000, "rows", "one statement holds few locks")
} as const

/** Figures of the process and the database that are sampled for the metrics. */
export const sampling = {
  everyMillis: preset(15_000, "ms", "the scrape interval that Prometheus' own documentation starts with"),
  limitMillis: preset(5_000, "ms", "a sample that takes longer is given up: the next one is near"),
  eventLoopMillis: preset(10_000, "ms", "so that a scrape every 15 s meets a full one that is at most as old as the last scrape")
} as const

/** Defaults of the HTTP interface. */
export const http = {
  port: preset(8080, "port", "the usual alternative HTTP port"),
  maxBodyBytes: preset(65_536, "bytes", "a payment request is a few hundred bytes"),
  pageSize: preset(50, "rows", "a screen of payments")
} as const
