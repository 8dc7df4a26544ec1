/**
 * The Lua script that asks rate limits: the same arithmetic as RateLimitState.ts, held to it by the contract of the store.
 *
 * KEYS: the blocked keys, then one key per limit. ARGV: what is wanted (`take` or `refund`), the cost, the time or nothing for the server's own;
 * then for each limit algorithm, limit, window, burst, and of its block refusals, within and duration (0 without).
 *
 * A state is a text of numbers: units used, their time, refusals, since when, blocked until, then times of expiry and counts. Lua's numbers are
 * doubles, so integers are exact up to 2^53, which no product here reaches; `%.0f` writes them without an exponent. A state lives ten seconds
 * longer than it matters. Blocked keys are in a sorted set as well, by the end of their block, so that they can be counted.
 */
import { script } from "./Commands.ts"

/** What the script answers: the time, and of each limit whether it refused, units used, blocked until, times of expiry and counts. */
export type Reply = readonly [now: number, ...answers: ReadonlyArray<ReadonlyArray<number>>]

const time = `
local function timeOr(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`

export const asking = script<Reply>(
  "rate-limits.ask",
  `${time}
local mode, cost, now = ARGV[1], tonumber(ARGV[2]), timeOr(ARGV[3])

local function read(key)
  local numbers = {}
  for word in string.gmatch(redis.call('GET', key) or '', '%S+') do numbers[#numbers + 1] = tonumber(word) end
  local s = { used = numbers[1] or 0, at = numbers[2] or 0, refusals = numbers[3] or 0, refusedAt = numbers[4] or 0, blockedUntil = numbers[5] or 0, counts = {} }
  for i = 6, #numbers do s.counts[i - 5] = numbers[i] end
  return s
end

local function expiry(q)
  if q.algorithm == 'fixed_window' then return now + q.window end
  local step = math.ceil(q.window / 60)
  return (math.floor(now / step) + 61) * step
end

local function advance(q, s)
  if s.blockedUntil ~= 0 then
    s.blockedUntil = math.min(s.blockedUntil, now + q.duration)
    if s.blockedUntil <= now then
      s.blockedUntil = 0
      redis.call('ZREM', KEYS[1], q.key)
    end
  end
  if s.refusals ~= 0 then
    s.refusedAt = math.min(s.refusedAt, now)
    if now - s.refusedAt >= q.within then s.refusals = 0 end
  end
  if q.algorithm == 'token_bucket' then
    if now > s.at and s.used ~= 0 then s.used = math.max(0, s.used - (now - s.at) * q.limit) end
    s.at = now
    return
  end
  local length = #s.counts
  if length == 0 then return end
  local late = s.counts[length - 1] - expiry(q)
  if late > 0 then for i = 1, length, 2 do s.counts[i] = s.counts[i] - late end end
  while s.counts[1] and s.counts[1] <= now do
    s.used = s.used - s.counts[2]
    table.remove(s.counts, 1)
    table.remove(s.counts, 1)
  end
end

local function take(q, s)
  s.used = s.used + cost * q.unit
  if q.algorithm == 'token_bucket' then return end
  local latest = expiry(q)
  local length = #s.counts
  if length > 0 and (q.algorithm == 'fixed_window' or s.counts[length - 1] == latest) then
    s.counts[length] = s.counts[length] + cost
  else
    s.counts[length + 1] = latest
    s.counts[length + 2] = cost
  end
end

local function refund(q, s)
  local units = math.min(s.used, cost * q.unit)
  s.used = s.used - units
  while q.algorithm ~= 'token_bucket' and units > 0 and #s.counts > 0 do
    local last = #s.counts
    local given = math.min(units, s.counts[last])
    units = units - given
    s.counts[last] = s.counts[last] - given
    if s.counts[last] == 0 then
      table.remove(s.counts)
      table.remove(s.counts)
    end
  end
end

local function refuse(q, s)
  if q.refusals == 0 or s.blockedUntil ~= 0 then return end
  if s.refusals == 0 then s.refusedAt = now end
  s.refusals = s.refusals + 1
  if s.refusals < q.refusals then return end
  s.blockedUntil = now + q.duration
  s.refusals = 0
  redis.call('ZADD', KEYS[1], s.blockedUntil, q.key)
  if redis.call('PTTL', KEYS[1]) < q.duration + 10000 then redis.call('PEXPIRE', KEYS[1], q.duration + 10000) end
end

local function write(q, s)
  local freshAt = s.blockedUntil
  if s.refusals ~= 0 then freshAt = math.max(freshAt, s.refusedAt + q.within) end
  if q.algorithm == 'token_bucket' then
    freshAt = math.max(freshAt, s.at + math.ceil(s.used / q.limit))
  elseif #s.counts > 0 then
    freshAt = math.max(freshAt, s.counts[#s.counts - 1])
  end
  if freshAt <= now then
    redis.call('DEL', q.key)
    return
  end
  local words = {}
  for i, number in ipairs({ s.used, s.at, s.refusals, s.refusedAt, s.blockedUntil }) do words[i] = string.format('%.0f', number) end
  for i, number in ipairs(s.counts) do words[5 + i] = string.format('%.0f', number) end
  redis.call('SET', q.key, table.concat(words, ' '), 'PX', string.format('%.0f', freshAt - now + 10000))
end

local questions, states, refused, allowed = {}, {}, {}, true
for i = 2, #KEYS do
  local from = 4 + (i - 2) * 7
  local q = {
    key = KEYS[i], algorithm = ARGV[from], limit = tonumber(ARGV[from + 1]), window = tonumber(ARGV[from + 2]), burst = tonumber(ARGV[from + 3]),
    refusals = tonumber(ARGV[from + 4]), within = tonumber(ARGV[from + 5]), duration = tonumber(ARGV[from + 6])
  }
  q.unit = q.algorithm == 'token_bucket' and q.window or 1
  local s = read(q.key)
  advance(q, s)
  questions[i - 1], states[i - 1] = q, s
  refused[i - 1] = mode == 'take' and (s.blockedUntil ~= 0 or s.used + cost * q.unit > (q.limit + q.burst) * q.unit)
  if refused[i - 1] then allowed = false end
end

local reply = { now }
for i, q in ipairs(questions) do
  local s = states[i]
  if mode == 'refund' then refund(q, s) elseif allowed then take(q, s) elseif refused[i] then refuse(q, s) end
  write(q, s)
  local answer = { refused[i] and 1 or 0, s.used, s.blockedUntil }
  for _, number in ipairs(s.counts) do answer[#answer + 1] = number end
  reply[#reply + 1] = answer
end
return reply`
)

/** KEYS: as many as are looked at. ARGV: the time or nothing. Answers the time, then each state's text or nothing. */
export const looking = script<readonly [now: number, ...states: ReadonlyArray<string | null>]>(
  "rate-limits.look",
  `${time}
local reply = { timeOr(ARGV[1]) }
for i, key in ipairs(KEYS) do reply[i + 1] = redis.call('GET', key) end
return reply`
)

/** KEYS: the blocked keys. ARGV: the time or nothing. Answers how many are blocked, and forgets those that are no more. */
export const counting = script<number>(
  "rate-limits.blocked",
  `${time}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', timeOr(ARGV[1])))
return redis.call('ZCARD', KEYS[1])`
)

/** KEYS: the blocked keys, then those to forget. */
export const forgetting = script<number>(
  "rate-limits.reset",
  `
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('ZREM', KEYS[1], KEYS[i])
end
return 1`
)
