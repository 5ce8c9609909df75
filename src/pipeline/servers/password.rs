//! The password of a server that a run starts. It keeps the other users of this machine out: they, too, can connect to
//! loopback.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{self, SHA512};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Random bytes of a password.
const RANDOM_BYTES: usize = 24;
/// Random bytes that make two hashes of one password differ.
const SALT_BYTES: usize = 12;

/// A password. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

impl Password {
    /// Creates a random password of letters, digits, `-` and `_`, which needs no quoting in a URL or a configuration.
    pub(crate) fn random() -> io::Result<Self> {
        Ok(Self(URL_SAFE_NO_PAD.encode(random_bytes::<RANDOM_BYTES>()?)))
    }

    /// The password in this environment variable, if it is set and not empty.
    pub(crate) fn from_env(variable: &str) -> Option<Self> {
        std::env::var(variable).ok().filter(|text| !text.is_empty()).map(Self)
    }

    /// The text itself. Must not be printed.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }

    /// Compares it with another one, in a time that does not depend on the place of a difference.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        let ours = self.0.as_bytes();
        let differences = ours.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differences) == 0 && ours.len() == other.len()
    }

    /// A line of Mosquitto's password file: the user and a salted SHA-512, which all versions read. The
    /// password is random, so that a slow hash would protect nothing.
    pub(super) fn mosquitto_line(&self, user: &str) -> io::Result<String> {
        let salt = random_bytes::<SALT_BYTES>()?;
        let hash = digest::digest(&SHA512, &[self.0.as_bytes(), &salt].concat());
        Ok(format!("{user}:$6${}${}\n", STANDARD.encode(salt), STANDARD.encode(hash)))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_are_not_shown() {
        let (one, other) =
            (Password::random().expect("random"), Password::random().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.secret().len(), 32);
        assert!(one.is(one.secret().as_bytes()) && !one.is(other.secret().as_bytes()));
        assert!(!one.is(b"") && !one.is(&one.secret().as_bytes()[..31]));
        assert!(!one.is(format!("{}x", one.secret()).as_bytes()));
        assert!(!format!("{one:?}").contains(one.secret()));
        let line = one.mosquitto_line("loadgen").expect("random");
        assert!(line.starts_with("loadgen:$6$") && !line.contains(one.secret()), "{line}");
    }
}
