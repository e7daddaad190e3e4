//! What Redis does in one go, as Lua. Redis' numbers there are doubles: epochs and numbers stay
//! below 2^53, and are written without an exponent.

use std::sync::LazyLock;

use redis::Script;

/// Takes the lease and a new epoch, higher than every one seen; 0 when somebody else has it. The
/// same holder may ask again, since it may not have heard the answer.
///
/// Keys: lease, epoch, desired. Arguments: holder, time to live in ms, highest epoch seen.
pub(crate) static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local holder = redis.call('GET', KEYS[1])
        if holder and holder ~= ARGV[1] then return 0 end
        local epoch = tonumber(ARGV[3])
        for _, seen in ipairs({redis.call('GET', KEYS[2]) or '0',
                               redis.call('HGET', KEYS[3], 'epoch') or '0'}) do
            local number = tonumber(seen) or 0
            if number > epoch then epoch = number end
        end
        epoch = epoch + 1
        redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
        redis.call('SET', KEYS[2], string.format('%.0f', epoch))
        return epoch",
    )
});

/// Keeps the lease; 0 when it is somebody else's or gone.
///
/// Keys: lease, epoch. Arguments: holder, time to live in ms, epoch. An epoch that was deleted is
/// written again; one that is higher means that this holder's time is over.
pub(crate) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        local epoch = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
        if epoch > tonumber(ARGV[3]) then return 0 end
        if epoch < tonumber(ARGV[3]) then redis.call('SET', KEYS[2], ARGV[3]) end
        return redis.call('PEXPIRE', KEYS[1], ARGV[2])",
    )
});

/// Gives the lease back, if it is this holder's.
///
/// Keys: lease. Arguments: holder.
pub(crate) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        return redis.call('DEL', KEYS[1])",
    )
});

/// Makes an order the desired state and wakes the executor, unless a newer one stands. Answers
/// with nothing, or with the epoch and the number that are newer. The same order once more changes
/// nothing.
///
/// Keys: epoch, desired, actions. Arguments: epoch, seq, replicas, id, expiry, message, entries
/// that the stream keeps, and `stream` or the channel to publish on.
pub(crate) static ORDER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local epoch, seq = tonumber(ARGV[1]), tonumber(ARGV[2])
        local top = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
        if top > epoch then return {string.format('%.0f', top), '0'} end
        local held = redis.call('HMGET', KEYS[2], 'epoch', 'seq')
        local e, s = tonumber(held[1] or '0') or 0, tonumber(held[2] or '0') or 0
        if e > epoch or (e == epoch and s > seq) then
            return {string.format('%.0f', e), string.format('%.0f', s)}
        end
        if e == epoch and s == seq then return {} end
        redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'seq', ARGV[2], 'replicas', ARGV[3],
                   'id', ARGV[4], 'expires_ts', ARGV[5], 'message', ARGV[6])
        if ARGV[8] == 'stream' then
            redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'm', ARGV[6])
        else
            redis.call('PUBLISH', KEYS[3], ARGV[6])
        end
        return {}",
    )
});
