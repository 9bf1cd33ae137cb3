"""What must happen as one, in Lua on the server. All keys of a script lie in one slot.

What may be long is sent and answered as JSON text, because redis-py would read it item by item in
Python, 5 µs each, while the agent answers nobody. Source: redis.io, "Redis programmability".
"""

from __future__ import annotations

import hashlib
from functools import cached_property

from hawkvision.tracking.store.fresh import PAGES


class Script(str):
    """A script's text, which a server that has run it once knows by its digest."""

    @cached_property
    def digest(self) -> str:
        """As EVALSHA wants it."""
        return hashlib.sha1(self.encode(), usedforsecurity=False).hexdigest()


_CLOCK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local stamp = time[1] .. '.' .. string.format('%06d', time[2])
"""

NOW = Script(f"{_CLOCK} return stamp")
"""KEYS: any of the task. Answers the server's time, seconds as text."""

_MAY_ADD = """
if redis.acl_check_cmd then
  for _, one in ipairs({
    {'SET', KEYS[1], 1}, {'ZSCORE', KEYS[2], ''}, {'ZCARD', KEYS[2]},
    {'ZREMRANGEBYSCORE', KEYS[2], 0, 0}, {'ZADD', KEYS[2], 0, ''}, {'HGET', KEYS[4], ''},
    {'HSET', KEYS[4], '', ''}, {'DEL', KEYS[5]}, {'HINCRBYFLOAT', KEYS[5], '', 0},
    {'EXPIRE', KEYS[2], 1}
  }) do
    if not redis.acl_check_cmd(unpack(one)) then
      return redis.error_reply("NOPERM the user may not run '" .. string.lower(one[1]) .. "'")
    end
  end
end
"""
"""Before anything is written: the mark of a batch without its counts would lose them."""

ADD = Script(
    f"""
{_CLOCK}
{_MAY_ADD}
if math.abs(now - ARGV[1]) > tonumber(ARGV[2]) then return {{0, stamp}} end
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[3]) then return {{1, stamp}} end

local limit, forgotten = tonumber(ARGV[4]), tonumber(ARGV[5])
local function admitted(room, key)
  if not redis.call('ZSCORE', room, key) then
    if redis.call('ZCARD', room) >= limit then
      redis.call('ZREMRANGEBYSCORE', room, '-inf', now - forgotten)
      redis.call('ZREMRANGEBYSCORE', room, now + forgotten, '+inf')
      if redis.call('ZCARD', room) >= limit then return false end
    end
  end
  redis.call('ZADD', room, now, key)
  return true
end

local pages = 4 + {PAGES}
local page = redis.call('HGET', KEYS[4], 'page')
if not page then
  page = 1
  redis.call('HSET', KEYS[4], 'epoch', ARGV[6], 'page', page)
  for index = 5, pages do redis.call('DEL', KEYS[index]) end
end
local into = {{KEYS[5 + page % {PAGES}]}}
for index = pages + 1, #KEYS do into[#into + 1] = KEYS[index] end

for _, row in ipairs(cjson.decode(ARGV[9])) do
  local key, room, sums = row[1], row[2], row[3]
  if room > 0 and not admitted(KEYS[1 + room], key) then key = ARGV[6 + room] end
  for index = 1, #sums, 2 do
    for _, hash in ipairs(into) do
      redis.call('HINCRBYFLOAT', hash, key .. sums[index], sums[index + 1])
    end
  end
end

for index = 2, #KEYS do redis.call('EXPIRE', KEYS[index], ARGV[8 + index]) end
return {{1, stamp}}
"""
)
"""KEYS: the batch's mark, admitted keys without and with an app's key, what is fresh, its pages,
buckets.

ARGV: the time that the caller takes it to be and how far that may be off, the life of the mark,
how many keys are admitted and after what time they are forgotten, a name for a new epoch, the keys
of all others without and with an app's key, the counts as [[key, 0 where it is free of the bound,
else 1 or 2 for whose room it takes, [name, amount, …]], …], and the lives of KEYS but for the
mark. Answers [1, the server's time], or 0 where the time is off too far; then nothing has happened.
"""

SINCE = Script(
    f"""
local page = tonumber(redis.call('HGET', KEYS[1], 'page') or '0')
local function turn()
  if redis.call('EXISTS', KEYS[2 + page % {PAGES}]) == 0 then return end
  page = page + 1
  redis.call('DEL', KEYS[2 + page % {PAGES}])
  redis.call('HSET', KEYS[1], 'page', page)
end
if page == 0 then
  page = 1
  redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'page', page)
  for index = 2, #KEYS do redis.call('DEL', KEYS[index]) end
end
for index = 1, #KEYS do redis.call('EXPIRE', KEYS[index], ARGV[4]) end
local epoch, first = redis.call('HGET', KEYS[1], 'epoch'), tonumber(ARGV[2])
if ARGV[1] ~= epoch or first > page or first <= page - {PAGES} then
  turn()
  return {{epoch, page, 1}}
end
if first == page then turn() end
local answer = {{epoch, page, 0}}
for index = first, page - 1 do
  answer[#answer + 1] = cjson.encode(redis.call('HGETALL', KEYS[2 + index % {PAGES}]))
end
return answer
"""
)
"""KEYS: what is fresh, its pages. ARGV: the cursor's epoch and page, a name for a new epoch, lives.

Answers the epoch, the page to ask for the next time, 1 for a baseline, and pages as
[field, amount, …]. The rules are those of `fresh.Pages`.
"""

READ = Script(
    f"""
{_CLOCK}
local answer, room = {{stamp, 0}}, tonumber(ARGV[2])
for index = tonumber(ARGV[1]), #KEYS do
  if room <= 0 then
    answer[2] = index
    break
  end
  local found = redis.call('HGETALL', KEYS[index])
  room = room - #found / 2
  if #found > 0 then answer[#answer + 1] = cjson.encode(found) end
end
return answer
"""
)
"""KEYS: buckets. ARGV: the first one to read, and after how many fields to stop.

Answers the server's time, the bucket to go on with (0 for none), and buckets as
[field, amount, …].
"""

LEAD = Script(
    """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local fence = held and redis.call('GET', KEYS[2]) or redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return fence
"""
)
"""KEYS: who leads, the fence, thresholds. ARGV: the agent, for how many ms, and for how many
seconds the others stay when nobody leads any more. Answers the fence, or nothing."""

PUT_APP = Script(
    """
local stored = redis.call('HGETALL', KEYS[1])
if not redis.call('HGET', KEYS[1], ARGV[1]) and #stored / 2 >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""
)
"""KEYS: apps. ARGV: an app, its target, how many apps there may be. Answers 0 for no room.

All are read to be counted: HLEN is not among the rights that operators were told to give.
"""

PUT_NOTE = Script(
    """
if not redis.call('HGET', KEYS[1], ARGV[1]) then
  if tonumber(redis.call('GET', KEYS[2]) or '0') >= tonumber(ARGV[3]) then return 0 end
  redis.call('INCR', KEYS[2])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
for index = 1, 2 do redis.call('EXPIRE', KEYS[index], ARGV[4]) end
return 1
"""
)
"""KEYS: a subject's notes, and how many there are. ARGV: an agent, what it says, how many agents
may, for how long. Answers 0 for no room."""

PUT = Script(
    """
if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return 0 end
for field = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[field], ARGV[field + 1]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""
)
"""KEYS: the fence, thresholds. ARGV: the fence, a channel and what to say there, fields."""
