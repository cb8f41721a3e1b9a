"""What Redis holds of a job, and the scripts that change it: each is one step that happens wholly or not at all.

    smile:job:ID             hash: state, created, fingerprint, options, key, attempts, owner, progress, problem,
                             expires
    smile:job:ID:clip        the upload; erased in the step that ends the job
    smile:job:ID:lease       the attempt that holds the job, for as long as it gives signs of life
    smile:job:ID:OUTPUT      what came of it
    smile:key:SHA256         Idempotency-Key -> ID

Whoever holds the job is its `owner`. Only the owner can end it, and only once: a worker that was given up for lost and
comes back finds that it is not the owner any more.

A full Redis refuses a script at its first write, and only where that may need memory. What is refused then begins with
such a write; what must go on, because it keeps or ends a job that is held, begins with one that needs none.
"""

import hashlib
from typing import get_args

from service.jobs.base import Output

QUEUE = "smile:queue"
FUNCTION = "read_clip"
"""The name under which workers know their one function."""


def record(job_id: str) -> str:
    return f"smile:job:{job_id}"


def clip(job_id: str) -> str:
    return f"{record(job_id)}:clip"


def lease(job_id: str) -> str:
    return f"{record(job_id)}:lease"


def output(job_id: str, name: Output) -> str:
    return f"{record(job_id)}:{name}"


def idempotency(key: str) -> str:
    return f"smile:key:{hashlib.sha256(key.encode()).hexdigest()}"


def everything(job_id: str) -> list[str]:
    """Every key of a job but that of its Idempotency-Key."""
    return [record(job_id), clip(job_id), lease(job_id), *(output(job_id, name) for name in get_args(Output))]


SUBMIT = """
-- KEYS: record, clip, the queue, the queue's own record, idempotency?
-- ARGV: id, seconds kept, clip, created, fingerprint, options, room in the queue, its own record, its time in ms
-- Returns the id of the job, which is another's where the key is known; nothing where there is no room
if redis.call('EXISTS', KEYS[1]) == 1 then return ARGV[1] end -- the answer was lost
if KEYS[5] then
  local known = redis.call('GET', KEYS[5])
  if known and redis.call('EXISTS', 'smile:job:' .. known) == 1 then return known end
end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[7]) then return nil end
if KEYS[5] then redis.call('SET', KEYS[5], ARGV[1], 'EX', ARGV[2]) end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[2])
redis.call('HSET', KEYS[1], 'state', 'queued', 'created', ARGV[4], 'fingerprint', ARGV[5], 'options', ARGV[6],
  'key', KEYS[5] or '', 'attempts', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[4], ARGV[8], 'EX', ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[9], ARGV[1])
return ARGV[1]
"""

CLAIM = """
-- KEYS: record, lease  ARGV: token, lease in ms  Returns the number of the attempt; 0: nothing to do; -1: held
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'queued' and state ~= 'running' then return 0 end
local holder = redis.call('GET', KEYS[2])
if holder == ARGV[1] then return tonumber(redis.call('HGET', KEYS[1], 'attempts')) end -- the answer was lost
if holder then return -1 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[1], 'state', 'running', 'owner', ARGV[1])
redis.call('HDEL', KEYS[1], 'progress')
return redis.call('HINCRBY', KEYS[1], 'attempts', 1)
"""

BEAT = """
-- KEYS: record, lease, the queue's own mark  ARGV: token, lease in ms, progress  Returns whether the job is held
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[1], 'state') == 'running' then
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
  redis.call('HSET', KEYS[1], 'progress', ARGV[3])
end
return 1
"""

RELEASE = """
-- KEYS: record, lease  ARGV: token
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'owner', 'progress')
redis.call('HSET', KEYS[1], 'state', 'queued')
redis.call('HINCRBY', KEYS[1], 'attempts', -1)
redis.call('DEL', KEYS[2])
return 1
"""

FINISH = """
-- KEYS: record, clip, lease, outputs...  ARGV: token, state, ms kept, expires, progress, problem, outputs...
-- Returns whether this attempt ended the job, also when asked again because the answer was lost
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'running' then return state == ARGV[2] and 1 or 0 end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'expires', ARGV[4], 'progress', ARGV[5], 'problem', ARGV[6])
for i = 4, #KEYS do redis.call('SET', KEYS[i], ARGV[i + 3], 'PX', ARGV[3]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', redis.call('HGET', KEYS[1], 'key'), ARGV[3])
return 1
"""

ERASE = """
-- KEYS: the queue, the queue's own record, record, the job's other keys...  ARGV: id  Returns whether there was a job
if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
redis.call('DEL', redis.call('HGET', KEYS[3], 'key'))
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
"""
