//! Secrets in the arguments of a script.

use super::text::mask_text;
use super::{HIDDEN, is_secret_name};

/// Flags of one letter that many programs take a user or a password with.
const SECRET_LETTERS: [char; 4] = ['p', 'P', 'u', 'a'];
/// Flags of a word behind one dash. Any other such word is a letter with its value (`-phunter2`).
const ONE_DASH_WORDS: [&str; 7] =
    ["-auth", "-api-key", "-apikey", "-pass", "-passwd", "-password", "-pin"];

/// Flags whose value is a user with a password, as `curl` has them.
const USER_FLAGS: [&str; 3] = ["--user", "--proxy-user", "--login"];

/// Arguments as they are shown. The value of a secret flag is hidden where it stands in the same argument
/// (`--password=…`, `-p…`) or in the next one (`--password …`).
pub(crate) fn mask_arguments<S: AsRef<str>>(arguments: &[S]) -> Vec<String> {
    let mut hide_next = false;
    let mut shown = Vec::with_capacity(arguments.len());
    for argument in arguments.iter().map(AsRef::as_ref) {
        // A flag's value is hidden even if it looks like a short flag: passwords may begin with a dash.
        if hide_next && !argument.starts_with("--") {
            shown.push(HIDDEN.to_owned());
            hide_next = false;
            continue;
        }
        hide_next = expects_secret(argument);
        shown.push(mask_argument(argument));
    }
    shown
}

/// Returns true if an argument is the name of a secret that follows.
fn expects_secret(argument: &str) -> bool {
    if is_short_flag(argument) {
        return argument.len() == 2;
    }
    !argument.contains(['=', ':', '/']) && is_secret_flag(argument)
}

fn is_secret_flag(name: &str) -> bool {
    is_secret_name(name) || USER_FLAGS.contains(&name)
}

fn mask_argument(argument: &str) -> String {
    if is_short_flag(argument) {
        let (flag, value) = argument.split_at(2);
        return if value.is_empty() { flag.to_owned() } else { format!("{flag}{HIDDEN}") };
    }
    if let Some((name, value)) = argument.split_once('=')
        && !value.is_empty()
        && is_secret_flag(name)
        && !name.contains("://")
    {
        return format!("{name}={HIDDEN}");
    }
    // A word that is not a flag may itself be the secret.
    let is_word = !argument.starts_with('-') && !argument.contains(['=', ':', '/', ' ']);
    if is_word && is_secret_name(argument) { HIDDEN.to_owned() } else { mask_text(argument) }
}

/// Returns true for `-p`, with or without a value.
fn is_short_flag(argument: &str) -> bool {
    let mut chars = argument.chars();
    !ONE_DASH_WORDS.contains(&argument)
        && chars.next() == Some('-')
        && chars.next().is_some_and(|c| SECRET_LETTERS.contains(&c))
}
