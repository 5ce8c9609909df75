//! Lists: pushes, pops, and pops that wait.

use std::ops::Range;
use std::time::Duration;

use super::{CommandResult, Context, Done};
use crate::pipeline::servers::embedded::queue::args::Args;
use crate::pipeline::servers::embedded::queue::hub::{PopRequest, Take};
use crate::pipeline::servers::embedded::queue::keys::ListEnd;
use crate::pipeline::servers::embedded::queue::parser::MAX_FRAME;
use crate::pipeline::servers::embedded::queue::refusal::CommandError;
use crate::pipeline::servers::embedded::queue::reply;

/// Bytes around an element of a reply, at most.
const AROUND: usize = 16;

pub(super) fn lpush(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push(context, args, ListEnd::Left)
}

pub(super) fn rpush(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    push(context, args, ListEnd::Right)
}

fn push(context: &mut Context<'_>, args: Args<'_>, end: ListEnd) -> CommandResult {
    let len = context.hub.keys.push(args.word(1), end, args.from(2))?;
    reply::count(context.out, len);
    context.hub.serve(args.word(1));
    Ok(Done::Replied)
}

pub(super) fn lpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(context, args, "lpop", ListEnd::Left)
}

pub(super) fn rpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop(context, args, "rpop", ListEnd::Right)
}

fn pop(
    context: &mut Context<'_>,
    args: Args<'_>,
    name: &'static str,
    end: ListEnd,
) -> CommandResult {
    if args.len() > 3 {
        return Err(CommandError::Arity(name));
    }
    let count = match args.get(2) {
        Some(_) => Some(args.at_least(2, 0, CommandError::NotPositive)?),
        None => None,
    };
    let key = args.word(1);
    let out = &mut *context.out;
    match (context.hub.keys.list(key)?, count) {
        (None, None) => reply::null(out),
        (None, Some(_)) => reply::null_array(out),
        (Some(_), None) => context.hub.pop_each(key, end, 1, out),
        (Some(list), Some(count)) => {
            reply::array(out, count.min(list.len()));
            context.hub.pop_each(key, end, count, out);
        }
    }
    Ok(Done::Replied)
}

pub(super) fn llen(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let list = context.hub.keys.list(args.word(1))?;
    reply::count(context.out, list.map_or(0, |list| list.len()));
    Ok(Done::Replied)
}

pub(super) fn lrange(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (first, last) = (args.integer(2)?, args.integer(3)?);
    let Some(list) = context.hub.keys.list(args.word(1))? else {
        reply::array(context.out, 0);
        return Ok(Done::Replied);
    };
    let Range { start: first, end } = places(list.len(), first, last);
    let size: usize = list.range(first..end).map(|element| element.len() + AROUND).sum();
    if size > MAX_FRAME {
        return Err(CommandError::ReplyTooLarge);
    }
    reply::array(context.out, end - first);
    list.range(first..end).for_each(|element| reply::bulk(context.out, element));
    Ok(Done::Replied)
}

/// Places of a list from `first` to `last`; numbers below zero count from the end.
fn places(len: usize, first: i64, last: i64) -> Range<usize> {
    let len = len as i64;
    let place = |n: i64| if n < 0 { n.saturating_add(len) } else { n };
    let first = place(first).clamp(0, len);
    let end = place(last).saturating_add(1).clamp(first, len);
    first as usize..end as usize
}

pub(super) fn ltrim(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let (first, last) = (args.integer(2)?, args.integer(3)?);
    let len = context.hub.keys.list(args.word(1))?.map_or(0, |list| list.len());
    context.hub.keys.trim(args.word(1), places(len, first, last));
    reply::ok(context.out);
    Ok(Done::Replied)
}

pub(super) fn blpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(context, args, ListEnd::Left)
}

pub(super) fn brpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    blocking_pop(context, args, ListEnd::Right)
}

fn blocking_pop(context: &mut Context<'_>, args: Args<'_>, end: ListEnd) -> CommandResult {
    let last = args.len() - 1;
    let timeout = args.timeout(last)?;
    let keys = KeyWords { args, places: 1..last };
    pop_or_wait(context, &keys, end, Take::One, Some(timeout))
}

pub(super) fn lmpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    pop_many(context, args, 1, None)
}

pub(super) fn blmpop(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let timeout = args.timeout(1)?;
    pop_many(context, args, 2, Some(timeout))
}

/// `numkeys key [key ...] LEFT|RIGHT [COUNT count]`, from place `n` on.
fn pop_many(
    context: &mut Context<'_>,
    args: Args<'_>,
    n: usize,
    wait: Option<Option<Duration>>,
) -> CommandResult {
    let keys = args.at_least(n, 1, CommandError::NumKeys)?;
    let after_keys = keys.saturating_add(n + 1);
    let end = match args.word(after_keys) {
        word if word.eq_ignore_ascii_case(b"left") => ListEnd::Left,
        word if word.eq_ignore_ascii_case(b"right") => ListEnd::Right,
        _ => return Err(CommandError::Syntax),
    };
    let count = match args.len() - after_keys {
        1 => 1,
        3 if args.word(after_keys + 1).eq_ignore_ascii_case(b"count") => {
            args.at_least(after_keys + 2, 1, CommandError::Count)?
        }
        _ => return Err(CommandError::Syntax),
    };
    let keys = KeyWords { args, places: n + 1..after_keys };
    pop_or_wait(context, &keys, end, Take::UpTo(count), wait)
}

/// The words of a command that are keys.
struct KeyWords<'a> {
    args: Args<'a>,
    places: std::ops::Range<usize>,
}

impl<'a> KeyWords<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.args.from(self.places.start).take(self.places.len())
    }
}

/// Pops, or waits as long as `wait` says. Without `wait` it replies at once that there is nothing.
fn pop_or_wait(
    context: &mut Context<'_>,
    keys: &KeyWords<'_>,
    end: ListEnd,
    take: Take,
    wait: Option<Option<Duration>>,
) -> CommandResult {
    if context.hub.pop_first(keys.iter(), end, take, context.out)? {
        return Ok(Done::Replied);
    }
    match wait {
        Some(timeout) => {
            let keys = keys.iter().map(Into::into).collect();
            Ok(Done::Wait(PopRequest { keys, end, take, timeout }))
        }
        None => {
            reply::null_array(context.out);
            Ok(Done::Replied)
        }
    }
}
