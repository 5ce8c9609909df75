//! Errors of commands, in the words of Redis: clients compare them.

use std::fmt;

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandError {
    /// There is no such command; its name and what it was given.
    UnknownCommand(String),
    /// There is no such part of a command; both names.
    UnknownSubcommand(&'static str, String),
    /// Too few or too many words for the command of this name.
    Arity(&'static str),
    /// A time of `EXPIRE` that no clock can count.
    ExpireTime,
    /// A condition that a command does not have.
    UnknownOption(String),
    /// Words in the wrong place.
    Syntax,
    /// The key holds something else.
    WrongType,
    /// Not a number of 64 bits.
    NotAnInteger,
    /// A count below zero, or none.
    NotPositive,
    /// `BLMPOP`'s number of keys.
    NumKeys,
    /// `BLMPOP`'s count.
    Count,
    /// A counter at its end.
    Overflow,
    /// A time to wait that is not a number.
    TimeoutNotAFloat,
    /// A time to wait that no clock can count.
    TimeoutOutOfRange,
    /// A time to wait below zero.
    TimeoutNegative,
    /// Another database than the first.
    Database,
    /// A password where there is none.
    NoPassword,
    /// A command before the password.
    NoAuth,
    /// `HELLO` before the password and without it.
    HelloNoAuth,
    /// Not the user, or not the password.
    WrongPassword,
    /// `HELLO` with another version than 2.
    Protocol,
    /// `HELLO` with a version that is not a number.
    ProtocolNotAnInteger,
    /// A name with characters that a list of clients could not show.
    ClientName,
    /// An `LRANGE` of more than fits into one reply.
    ReplyTooLarge,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand(what) => return write!(f, "ERR unknown command {what}"),
            Self::UnknownSubcommand(command, what) => {
                return write!(f, "ERR unknown subcommand '{what}'. Try {command} HELP.");
            }
            Self::UnknownOption(option) => return write!(f, "ERR Unsupported option {option}"),
            Self::Arity(name) => {
                return write!(f, "ERR wrong number of arguments for '{name}' command");
            }
            Self::ExpireTime => "ERR invalid expire time in 'expire' command",
            Self::Syntax => "ERR syntax error",
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::NotAnInteger => "ERR value is not an integer or out of range",
            Self::NotPositive => "ERR value is out of range, must be positive",
            Self::NumKeys => "ERR numkeys should be greater than 0",
            Self::Count => "ERR count should be greater than 0",
            Self::Overflow => "ERR increment or decrement would overflow",
            Self::TimeoutNotAFloat => "ERR timeout is not a float or out of range",
            Self::TimeoutOutOfRange => "ERR timeout is out of range",
            Self::TimeoutNegative => "ERR timeout is negative",
            Self::Database => "ERR DB index is out of range: the embedded queue has only 0",
            Self::NoPassword => {
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?"
            }
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::HelloNoAuth => {
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
                 select the RESP protocol version at the same time"
            }
            Self::WrongPassword => "WRONGPASS invalid username-password pair or user is disabled.",
            Self::Protocol => "NOPROTO unsupported protocol version",
            Self::ProtocolNotAnInteger => "ERR Protocol version is not an integer or out of range",
            Self::ClientName => {
                "ERR Client names cannot contain spaces, newlines or special characters."
            }
            Self::ReplyTooLarge => "ERR the range is larger than the embedded queue sends at once",
        })
    }
}
