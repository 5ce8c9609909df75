//! Counters, and keys of any kind.

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
