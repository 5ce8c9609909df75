//! `loadgen dead`: the messages that push could not publish, printed or put back into the queue.

use std::io::{self, Write as _};

use super::CommandOutcome;
use super::args::{DeadArgs, DeadCommand, DeadSelection};
use crate::core::printable::{printable, shortened};
use crate::core::units::format_count;
use crate::message::IdFields;
use crate::pipeline::queue::dead_list::DeadList;

/// Longest part of a message that is printed, in characters.
const SHOWN: usize = 100;

pub(super) async fn dead(args: &DeadArgs) -> anyhow::Result<CommandOutcome> {
    match &args.command {
        DeadCommand::List(selection) => list(selection).await,
        DeadCommand::Requeue(selection) => requeue(selection).await,
    }
}

async fn open(selection: &DeadSelection) -> anyhow::Result<DeadList> {
    let mut settings = selection.list.clone();
    selection.redis_access.apply(Some(&mut settings.redis), None)?;
    Ok(DeadList::open(&settings).await?)
}

async fn list(selection: &DeadSelection) -> anyhow::Result<CommandOutcome> {
    let mut list = open(selection).await?;
    let messages = list.oldest(selection.most.unwrap_or(usize::MAX)).await?;
    let all = format_count(list.len().await? as u64);
    let mut out = io::stdout().lock();
    // A closed stdout, as of `| head`, ends it.
    if writeln!(out, "{all} rejected messages in {}", printable(list.key())).is_err() {
        return Ok(CommandOutcome::Done);
    }
    for message in messages {
        if writeln!(out, "{}", line(&message)).is_err() {
            break;
        }
    }
    Ok(CommandOutcome::Done)
}

/// A message in one line: its id, its size and its begin.
fn line(message: &[u8]) -> String {
    let id = IdFields::default().extract(message);
    let id = id.map_or_else(|_| "no MsgID".to_owned(), |id| format!("MsgID {}", id.get()));
    let text = String::from_utf8_lossy(message);
    let bytes = format_count(message.len() as u64);
    format!("{id}, {bytes} bytes: {}", shortened(&printable(&text), SHOWN))
}

async fn requeue(selection: &DeadSelection) -> anyhow::Result<CommandOutcome> {
    let mut list = open(selection).await?;
    // Not more than are there now: push may reject them again meanwhile.
    let most = list.len().await?.min(selection.most.unwrap_or(usize::MAX));
    let mut moved = 0;
    while moved < most && list.requeue_oldest().await? {
        moved += 1;
    }
    let (moved, queue) = (format_count(moved as u64), &selection.list.queue);
    let _ = writeln!(io::stdout(), "{moved} messages moved to the end of {}", printable(queue));
    Ok(CommandOutcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_line() {
        assert_eq!(line(br#"{"MsgID":5}"#), r#"MsgID 5, 11 bytes: {"MsgID":5}"#);
        assert!(line(b"a\nb\x1b[2J").starts_with("no MsgID, 7 bytes: a"));
        assert!(!line(b"a\nb\x1b[2J").contains(['\n', '\u{1b}']));
        assert!(line(&[b'x'; 5_000]).len() < 200);
    }
}
