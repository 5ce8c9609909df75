//! The commands: which there are, how many words each takes, and what they do.

mod lists;
mod server;
mod values;

use super::args::Args;
use super::hub::{PopRequest, QueueHub};
use super::refusal::CommandError;
use super::reply;

/// Next step of the connection after a command.
pub(super) enum Done {
    /// It goes on.
    Replied,
    /// It ends once the replies are written.
    Close,
    /// It waits for something to pop.
    Wait(PopRequest),
}

/// Facts that a connection sent about itself.
#[derive(Debug)]
pub(super) struct ClientInfo {
    id: u64,
    name: Box<[u8]>,
    logged_in: bool,
}

impl ClientInfo {
    /// A connection that has said nothing yet.
    pub(super) fn of(hub: &mut QueueHub) -> Self {
        Self { id: hub.next_id(), name: Box::default(), logged_in: hub.password.is_none() }
    }

    /// Number of the connection.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Returns true if the client has given the password, or there is none.
    pub(super) fn is_logged_in(&self) -> bool {
        self.logged_in
    }
}

/// Data that a command works on.
struct Context<'a> {
    hub: &'a mut QueueHub,
    session: &'a mut ClientInfo,
    out: &'a mut Vec<u8>,
}

type CommandResult = Result<Done, CommandError>;

struct CommandEntry {
    /// In lower case, as Redis puts it into errors.
    name: &'static str,
    /// Number of words with the name; a negative number is a minimum, as Redis counts.
    arity: isize,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
}

const fn command(
    name: &'static str,
    arity: isize,
    run: fn(&mut Context<'_>, Args<'_>) -> CommandResult,
) -> CommandEntry {
    CommandEntry { name, arity, run }
}

/// Those of the hot path first.
static COMMANDS: [CommandEntry; 33] = [
    command("lpush", -3, lists::lpush),
    command("blmpop", -5, lists::blmpop),
    command("rpop", -2, lists::rpop),
    command("llen", 2, lists::llen),
    command("lrange", 4, lists::lrange),
    command("rpush", -3, lists::rpush),
    command("ltrim", 4, lists::ltrim),
    command("lpop", -2, lists::lpop),
    command("brpop", -3, lists::brpop),
    command("blpop", -3, lists::blpop),
    command("lmpop", -4, lists::lmpop),
    command("time", 1, server::time),
    command("ping", -1, server::ping),
    command("echo", 2, server::echo),
    command("incr", 2, values::incr),
    command("incrby", 3, values::incrby),
    command("get", 2, values::get),
    command("del", -2, values::del),
    command("expire", -3, values::expire),
    command("exists", -2, values::exists),
    command("flushdb", -1, values::flush),
    command("flushall", -1, values::flush),
    command("hello", -1, server::hello),
    command("client", -2, server::client),
    command("select", 2, server::select),
    command("auth", -2, server::auth),
    command("info", -1, server::info),
    command("command", -1, server::command),
    command("quit", -1, server::quit),
    // Not commands but the beginning of an HTTP request: a web page that tries loopback ports, and
    // whose body would be taken for lines of words.
    command("post", -1, server::not_http),
    command("put", -1, server::not_http),
    command("host:", -1, server::not_http),
    command("content-type:", -1, server::not_http),
];

/// Commands of a client that has not given the password.
const BEFORE_LOGIN: [&str; 3] = ["auth", "hello", "quit"];

/// Does one command; its reply is written to `out`.
pub(super) fn execute(
    hub: &mut QueueHub,
    session: &mut ClientInfo,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Done {
    // An empty line or array is not a command and gets no reply.
    if args.is_empty() {
        return Done::Replied;
    }
    let name = args.word(0);
    let known = COMMANDS.iter().find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()));
    let result = match known {
        None => Err(unknown(args)),
        Some(command) if !takes(command.arity, args.len()) => {
            Err(CommandError::Arity(command.name))
        }
        Some(command) if !session.logged_in && !BEFORE_LOGIN.contains(&command.name) => {
            Err(CommandError::NoAuth)
        }
        Some(command) => (command.run)(&mut Context { hub, session, out }, args),
    };
    result.unwrap_or_else(|refusal| {
        reply::error(out, &refusal.to_string());
        Done::Replied
    })
}

fn takes(arity: isize, words: usize) -> bool {
    if arity < 0 { words >= arity.unsigned_abs() } else { words == arity.unsigned_abs() }
}

/// Names the command and its first words, as far as Redis does.
fn unknown(args: Args<'_>) -> CommandError {
    const SHOWN: usize = 128;
    let text = |word: &[u8], most: usize| {
        let word = &word[..word.len().min(most)];
        let end = word.iter().position(|&byte| byte == 0).unwrap_or(word.len());
        String::from_utf8_lossy(&word[..end]).into_owned()
    };
    let mut shown = String::new();
    for word in args.from(1) {
        if shown.len() >= SHOWN {
            break;
        }
        let word = text(word, SHOWN - shown.len());
        shown.push_str(&format!("'{word}' "));
    }
    let name = text(args.word(0), SHOWN);
    CommandError::UnknownCommand(format!("'{name}', with args beginning with: {shown}"))
}
