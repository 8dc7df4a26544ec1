/**
 * A check of several limits at once: all pass, or nothing is taken of any.
 *
 * `limits` and `states` belong together by position. A limit appears once in a check.
 */
import type { Decision, RateLimit, Standing } from "./RateLimit.ts"
import * as State from "./RateLimitState.ts"

/** Do all limits admit it? Brings the states to the time of the ask. */
const allAdmit = (limits: ReadonlyArray<RateLimit>, states: ReadonlyArray<State.RateLimitState>, ask: State.Ask): boolean => {
  let allowed = true
  for (let index = 0; index < limits.length; index++) {
    const limit = limits[index]
    const state = states[index]
    if (limit === undefined || state === undefined) continue
    State.advance(limit, state, ask.now)
    if (!State.admits(limit, state, ask)) allowed = false
  }
  return allowed
}

/** Takes of every limit if all admit it; otherwise only counts the refusal where one refused. */
export const take = (limits: ReadonlyArray<RateLimit>, states: ReadonlyArray<State.RateLimitState>, ask: State.Ask): Decision => {
  const allowed = allAdmit(limits, states, ask)
  const standings: Array<Standing> = []
  for (let index = 0; index < limits.length; index++) {
    const limit = limits[index]
    const state = states[index]
    if (limit === undefined || state === undefined) continue
    if (allowed) State.take(limit, state, ask)
    const refused = !allowed && !State.admits(limit, state, ask)
    if (refused) State.refuse(limit, state, ask)
    standings.push(refused ? State.refusal(limit, state, ask) : State.standing(limit, state, ask))
  }
  return { allowed, standings }
}

/** What `take` would answer, with nothing taken and no refusal counted. */
export const peek = (limits: ReadonlyArray<RateLimit>, states: ReadonlyArray<State.RateLimitState>, ask: State.Ask): Decision => {
  const allowed = allAdmit(limits, states, ask)
  const standings = limits.flatMap((limit, index) => {
    const state = states[index]
    if (state === undefined) return []
    return [State.admits(limit, state, ask) ? State.standing(limit, state, ask) : State.refusal(limit, state, ask)]
  })
  return { allowed, standings }
}
