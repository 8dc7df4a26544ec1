/**
 * Requests of concurrent callers, run together.
 *
 * There is no timer. Who comes while nothing runs goes at once, a group of one, in its own fiber. Whoever comes meanwhile waits; when
 * the run ends, everything that waits runs together, and so on until nobody waits. So a single caller pays nothing, and the groups
 * grow with the load.
 *
 * Whoever has its answer mostly comes again soon. So callers are told theirs before the next group is taken, which they may still join; but
 * where half a group waits already, that one goes first, and they are told while it runs.
 *
 * A caller that leaves before its request was taken takes it along. What was taken runs to its end. A defect of a group is told to its
 * callers, and those behind it run.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** What is grouped, and how a group runs. */
export interface Options<Request, Answer> {
  /** Answers every request of a group, in the order given. */
  readonly run: (group: ReadonlyArray<Request>) => Effect.Effect<ReadonlyArray<Answer>>
  /** A group holds at most one request per key: a second one waits for the next group. */
  readonly keysOf: (request: Request) => ReadonlyArray<string>
  /** The most requests of a group. */
  readonly maxGroup: number
  /** The answer when the scope closes. `begun`: the request's group was running. */
  readonly closed: (begun: boolean) => Answer
}

interface Waiting<Request, Answer> {
  readonly request: Request
  readonly answer: (answer: Effect.Effect<Answer>) => void
}

/** A group that has run, and its callers have not been told yet. */
interface Untold<Request, Answer> {
  readonly group: ReadonlyArray<Waiting<Request, Answer>>
  readonly answers: ReadonlyArray<Answer>
}

const settle = <Request, Answer>(waiters: ReadonlyArray<Waiting<Request, Answer>>, answerOf: (index: number) => Answer): void => {
  for (const [index, { answer }] of waiters.entries()) answer(Effect.succeed(answerOf(index)))
}

/** Groups the requests that go through it, until its scope closes. */
export const make = Effect.fnUntraced(function* <Request, Answer>(
  options: Options<Request, Answer>
): Effect.fn.Return<(request: Request) => Effect.Effect<Answer>, never, Scope.Scope> {
  type Waiter = Waiting<Request, Answer>
  const context = yield* Effect.context<Scope.Scope>()
  const scope = yield* Effect.scope
  const waiting: Array<Waiter> = []
  let running: ReadonlyArray<Waiter> = []
  let untold: Untold<Request, Answer> | undefined
  let busy = false
  let isClosed = false

  /** The next group in order of arrival. A request goes no earlier than an older one with its key. */
  const take = (): ReadonlyArray<Waiter> => {
    const group: Array<Waiter> = []
    const later: Array<Waiter> = []
    const keys = new Set<string>()
    for (const waiter of waiting.splice(0)) {
      const own = options.keysOf(waiter.request)
      const isLater = group.length >= options.maxGroup || own.some((key) => keys.has(key))
      ;(isLater ? later : group).push(waiter)
      for (const key of own) keys.add(key)
    }
    waiting.push(...later)
    return group
  }

  const tell = () => {
    if (untold === undefined) return
    const { answers, group } = untold
    untold = undefined
    settle(group, (index) => answers[index] ?? options.closed(true))
  }

  const runNext = Effect.suspend(() => {
    const group = take()
    running = group
    const run = Effect.suspend(() => options.run(group.map(({ request }) => request)))
    return Effect.matchCause(run, {
      onFailure: (cause) => {
        tell()
        running = []
        for (const { answer } of group) answer(Effect.failCause(cause))
        return true
      },
      onSuccess: (answers) => {
        // Those before have been told long ago, or nothing has given way since.
        tell()
        running = []
        untold = { group, answers }
        if (waiting.length < options.maxGroup / 2) tell()
        return true
      }
    })
  })

  /** Tells when the fiber that runs the next group gives way, which it does when it has sent it. */
  const tellMeanwhile = Effect.suspend(() => (untold === undefined ? Effect.void : Effect.forkIn(Effect.sync(tell), scope)))

  /** Runs group after group until nobody waits. The look and the end are one step: nobody begins to wait between them. */
  const drain = Effect.repeat(
    Effect.suspend(() => {
      // Those who waited may have left since, and there is no group then to be told beside.
      if (waiting.length === 0) tell()
      if (waiting.length > 0) return Effect.andThen(tellMeanwhile, runNext)
      busy = false
      return Effect.succeed(false)
    }),
    { while: (more) => more }
  )

  /** Groups run in the scope and the context of whoever made this: nothing of a caller belongs to them. */
  const handOver = Effect.suspend(() => {
    if (waiting.length === 0) {
      busy = false
      return Effect.void
    }
    const inOwnContext = Effect.updateContext(drain, (_caller: Context.Context<never>) => context)
    return Effect.forkIn(inOwnContext, scope)
  })

  /** The fiber may have given way since it found a group running, and nobody would come for it then: it looks once more. */
  const wait = (request: Request): Effect.Effect<Answer> =>
    Effect.callback<Answer>((answer) => {
      if (!busy) return answer(enter(request))
      // What runs now is the last: nobody comes for who waits behind it.
      if (isClosed) return answer(Effect.succeed(options.closed(false)))
      const waiter: Waiter = { request, answer }
      waiting.push(waiter)
      return Effect.sync(() => {
        const index = waiting.indexOf(waiter)
        if (index >= 0) waiting.splice(index, 1)
      })
    })

  /** What is begun is handed over: between the two nobody is interrupted. */
  const enter = (request: Request): Effect.Effect<Answer> =>
    Effect.uninterruptibleMask((restore) => {
      if (busy) return restore(wait(request))
      busy = true
      const alone = Effect.map(
        Effect.suspend(() => options.run([request])),
        ([answer]) => answer ?? options.closed(true)
      )
      return Effect.ensuring(restore(alone), handOver)
    })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      tell()
      settle(waiting.splice(0), () => options.closed(false))
      settle(running, () => options.closed(true))
    })
  )

  return enter
})
