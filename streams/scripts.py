"""What Redis does in one step, in Lua.

A request is one hash: position, token, owner, until, outcome, verdict, resolution.

`token` counts the claims ever made on the request, and fences: an end without an answer needs the last of them.
`until` is when the claim's lease ends, by Redis's own clock; absent while nobody holds one.
"""

CLAIMED, HELD, SETTLED = 0, 1, 2
FENCED, FORGOTTEN = 0, -1
"""FORGOTTEN: Redis was emptied, and its memory has not been rebuilt yet (`streams/rebuild.py`).

Who cannot wait any longer gives an empty KEYS[2]: claims then hold among those that live.
"""

_REMEMBERS = f"if KEYS[2] ~= '' and redis.call('EXISTS', KEYS[2]) == 0 then return {FORGOTTEN} end"

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

ADMIT = """
local first = redis.call('HSETNX', KEYS[1], 'position', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
local known = redis.call('HMGET', KEYS[1], 'position', 'outcome')
return {first, known[1], known[2], KEYS[2] ~= '' and redis.call('GET', KEYS[2])}
"""
"""position, life in s; KEYS[2] names an answer, or is empty -> [whether new, first position, outcome, answer]"""

CLAIM = f"""
{_REMEMBERS}
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return {{{SETTLED}, outcome}} end
{_NOW}
local ends = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
if ends > now then
  -- Asked again because the first reply was lost on its way.
  if redis.call('HGET', KEYS[1], 'owner') == ARGV[3] then
    return {{{CLAIMED}, tonumber(redis.call('HGET', KEYS[1], 'token')), 0}}
  end
  return {{{HELD}, ends - now}}
end
local token = redis.call('HINCRBY', KEYS[1], 'token', 1)
redis.call('HSET', KEYS[1], 'until', now + ARGV[1], 'owner', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {{{CLAIMED}, token, ends > 0 and 1 or 0}}
"""
"""lease in ms, life in s, owner -> FORGOTTEN | [CLAIMED, token, whether a lease ran out] | [HELD, ms]
| [SETTLED, outcome]"""

SETTLE = f"""
{_REMEMBERS}
local outcome = redis.call('HGET', KEYS[1], 'outcome')
if outcome then return outcome end
if ARGV[4] == '1' then
  {_NOW}
  local ends = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
  if ends > now and redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return {FENCED} end
end
redis.call('HSET', KEYS[1], 'outcome', ARGV[2])
redis.call('HDEL', KEYS[1], 'until')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""token, outcome, life in s, whether fenced -> FORGOTTEN | 1 | FENCED | the earlier outcome"""

RELEASE = """
if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then redis.call('HDEL', KEYS[1], 'until') end
return 1
"""
"""token -> 1"""

RENEW = f"""
{_NOW}
for number, key in ipairs(KEYS) do
  local token = redis.call('HGET', key, 'token')
  if not token then
    -- Redis lost it: the one who is at work goes on holding it.
    redis.call('HSET', key, 'token', ARGV[number + 1])
    token = ARGV[number + 1]
  end
  if token == ARGV[number + 1] and redis.call('HEXISTS', key, 'outcome') == 0 then
    redis.call('HSET', key, 'until', now + ARGV[1])
  end
end
return #KEYS
"""
"""lease in ms, a token for each key -> how many keys"""

CONCLUDE = f"""
{_REMEMBERS}
if KEYS[3] ~= '' then redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[5]) end
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  return 1
end
return redis.call('HGET', KEYS[1], ARGV[1])
"""
"""step, conclusion, life in s, answer, its life in s; KEYS[3] names the answer, or is empty
-> FORGOTTEN | 1 | the earlier conclusion"""

REMIND = """
if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
"""
"""field, value, life in s -> 1; what is there stays"""

KEEP = """
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
"""
"""field, value, life in s -> 1"""
