//! Counters, and keys of any kind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{CommandResult, Context, Done};
use crate::pipeline::servers::embedded::queue::args::Args;
use crate::pipeline::servers::embedded::queue::refusal::CommandError;
use crate::pipeline::servers::embedded::queue::reply;

pub(super) fn incr(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    increment(context, args.word(1), 1)
}

pub(super) fn incrby(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    increment(context, args.word(1), args.integer(2)?)
}

fn increment(context: &mut Context<'_>, key: &[u8], by: i64) -> CommandResult {
    let value = context.hub.keys.increment(key, by)?;
    reply::integer(context.out, value);
    Ok(Done::Replied)
}

pub(super) fn get(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match context.hub.keys.counter(args.word(1))? {
        Some(value) => reply::bulk(context.out, itoa::Buffer::new().format(value).as_bytes()),
        None => reply::null(context.out),
    }
    Ok(Done::Replied)
}

pub(super) fn del(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let removed = args.from(1).filter(|key| context.hub.keys.remove(key)).count();
    reply::count(context.out, removed);
    Ok(Done::Replied)
}

pub(super) fn exists(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let there = args.from(1).filter(|key| context.hub.keys.contains(key)).count();
    reply::count(context.out, there);
    Ok(Done::Replied)
}

/// `EXPIRE key seconds`, without the conditions of later versions.
pub(super) fn expire(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if let Some(option) = args.get(3) {
        let option = String::from_utf8_lossy(&option[..option.len().min(128)]).into_owned();
        return Err(CommandError::UnknownOption(option));
    }
    let seconds = args.integer(2)?;
    // Redis counts milliseconds since 1970 in 64 bits.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let end = seconds.checked_add_unsigned(since_1970).and_then(|end| end.checked_mul(1_000));
    if end.is_none() {
        return Err(CommandError::ExpireTime);
    }
    let keys = &mut context.hub.keys;
    let was_there = match u64::try_from(seconds) {
        Ok(seconds @ 1..) => keys.expire(args.word(1), Duration::from_secs(seconds)),
        _ => keys.remove(args.word(1)),
    };
    reply::count(context.out, usize::from(was_there));
    Ok(Done::Replied)
}

pub(super) fn flush(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let how = args.word(1);
    let known = how.eq_ignore_ascii_case(b"sync") || how.eq_ignore_ascii_case(b"async");
    if args.len() > 2 || (args.len() == 2 && !known) {
        return Err(CommandError::Syntax);
    }
    context.hub.keys.clear();
    reply::ok(context.out);
    Ok(Done::Replied)
}
