//! Commands with which a client asks about the server, or describes itself.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{CommandResult, Context, Done};
use crate::pipeline::servers::EMBEDDED_VERSION;
use crate::pipeline::servers::embedded::queue::args::Args;
use crate::pipeline::servers::embedded::queue::refusal::CommandError;
use crate::pipeline::servers::embedded::queue::reply;

pub(super) fn time(context: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut digits = itoa::Buffer::new();
    reply::array(context.out, 2);
    reply::bulk(context.out, digits.format(since_1970.as_secs()).as_bytes());
    reply::bulk(context.out, digits.format(since_1970.subsec_micros()).as_bytes());
    Ok(Done::Replied)
}

pub(super) fn ping(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        1 => reply::simple(context.out, "PONG"),
        2 => reply::bulk(context.out, args.word(1)),
        _ => return Err(CommandError::Arity("ping")),
    }
    Ok(Done::Replied)
}

pub(super) fn echo(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    reply::bulk(context.out, args.word(1));
    Ok(Done::Replied)
}

/// `HELLO [2 [AUTH user password] [SETNAME name]]`.
pub(super) fn hello(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 1 {
        let version = args.integer(1).map_err(|_| CommandError::ProtocolNotAnInteger)?;
        if version != 2 {
            return Err(CommandError::Protocol);
        }
    }
    let mut n = 2;
    let mut name = None;
    while let Some(word) = args.get(n) {
        if word.eq_ignore_ascii_case(b"auth") && args.len() > n + 2 {
            log_in(context, args.word(n + 1), args.word(n + 2))?;
            n += 3;
        } else if word.eq_ignore_ascii_case(b"setname") && args.len() > n + 1 {
            name = Some(client_name(args.word(n + 1))?);
            n += 2;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if !context.session.logged_in {
        return Err(CommandError::HelloNoAuth);
    }
    if let Some(name) = name {
        context.session.name = name;
    }
    let out = &mut *context.out;
    reply::array(out, 14);
    for (field, value) in [("server", "loadgen"), ("version", EMBEDDED_VERSION)] {
        reply::bulk(out, field.as_bytes());
        reply::bulk(out, value.as_bytes());
    }
    reply::bulk(out, b"proto");
    reply::integer(out, 2);
    reply::bulk(out, b"id");
    reply::integer(out, context.session.id.cast_signed());
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply::bulk(out, field.as_bytes());
        reply::bulk(out, value.as_bytes());
    }
    reply::bulk(out, b"modules");
    reply::array(out, 0);
    Ok(Done::Replied)
}

pub(super) fn client(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let words = args.len();
    let is = |name: &str| args.word(1).eq_ignore_ascii_case(name.as_bytes());
    let out = &mut *context.out;
    let takes = |n: usize, name| if words == n { Ok(()) } else { Err(CommandError::Arity(name)) };
    if is("setinfo") {
        // Clients tell their library's name; there is no list of clients to show it in.
        takes(4, "client|setinfo")?;
        reply::ok(out);
    } else if is("setname") {
        takes(3, "client|setname")?;
        context.session.name = client_name(args.word(2))?;
        reply::ok(out);
    } else if is("getname") {
        takes(2, "client|getname")?;
        match &*context.session.name {
            [] => reply::null(out),
            name => reply::bulk(out, name),
        }
    } else if is("id") {
        takes(2, "client|id")?;
        reply::integer(out, context.session.id.cast_signed());
    } else {
        let what = String::from_utf8_lossy(&args.word(1)[..args.word(1).len().min(128)]);
        return Err(CommandError::UnknownSubcommand("CLIENT", what.into_owned()));
    }
    Ok(Done::Replied)
}

fn client_name(name: &[u8]) -> Result<Box<[u8]>, CommandError> {
    if name.iter().all(|byte| byte.is_ascii_graphic()) {
        Ok(name.into())
    } else {
        Err(CommandError::ClientName)
    }
}

pub(super) fn select(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match args.integer(1)? {
        0 => reply::ok(context.out),
        _ => return Err(CommandError::Database),
    }
    Ok(Done::Replied)
}

/// `AUTH [user] password`.
pub(super) fn auth(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    match args.len() {
        2 if context.hub.password.is_none() => return Err(CommandError::NoPassword),
        2 => log_in(context, DEFAULT_USER, args.word(1))?,
        3 => log_in(context, args.word(1), args.word(2))?,
        _ => return Err(CommandError::Syntax),
    }
    reply::ok(context.out);
    Ok(Done::Replied)
}

/// The only user.
const DEFAULT_USER: &[u8] = b"default";

/// Without a password any will do, as in Redis.
fn log_in(context: &mut Context<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let fits = context.hub.password.as_ref().is_none_or(|ours| ours.is(password));
    if user != DEFAULT_USER || !fits {
        return Err(CommandError::WrongPassword);
    }
    context.session.logged_in = true;
    context.hub.remove_stranger(context.session.id);
    Ok(())
}

/// The section `Server`, in whatever set of sections it is asked for.
pub(super) fn info(context: &mut Context<'_>, args: Args<'_>) -> CommandResult {
    let with_server = ["server", "default", "all", "everything"];
    let wanted = args.len() == 1
        || args.from(1).any(|word| {
            with_server.iter().any(|section| word.eq_ignore_ascii_case(section.as_bytes()))
        });
    let text = format!(
        "# Server\r\nredis_version:{EMBEDDED_VERSION}\r\nredis_mode:standalone\r\nprocess_id:{}\r\n",
        std::process::id()
    );
    reply::bulk(context.out, if wanted { text.as_bytes() } else { b"" });
    Ok(Done::Replied)
}

/// redis-cli asks for descriptions; there are none.
pub(super) fn command(context: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    reply::array(context.out, 0);
    Ok(Done::Replied)
}

pub(super) fn quit(context: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    reply::ok(context.out);
    Ok(Done::Close)
}

pub(super) fn not_http(_: &mut Context<'_>, _: Args<'_>) -> CommandResult {
    Ok(Done::Close)
}
