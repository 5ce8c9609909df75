//! Passwords of servers, read from files.

use std::path::Path;

use super::PlanError;
use super::read::read_text_bounded;
use crate::core::Address;

/// The largest file of a password.
const MOST_PASSWORD: u64 = 64 * 1024;

/// Returns the address with the password of a file instead of its own. A line end at the end of the file is not a
/// part of the password.
pub(crate) fn with_password_of(
    address: Address,
    flag: &str,
    file: &Path,
) -> Result<Address, PlanError> {
    let bad = |reason: String| PlanError::new(format!("{flag} {}: {reason}", file.display()));
    let text = read_text_bounded(file, MOST_PASSWORD, "a file of a password");
    let text = text.map_err(|error| bad(error.to_string()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(bad("it is empty; write the password into it".to_owned()));
    }
    if password.contains('\n') {
        return Err(bad("it has several lines; write only the password into it".to_owned()));
    }
    Ok(address.with_password(password))
}

/// Does the same with the settings of a run: the file needs an address.
pub(crate) fn address_with_password(
    address: Option<Address>,
    flag: &str,
    file: Option<&Path>,
) -> Result<Option<Address>, PlanError> {
    match (address, file) {
        (Some(address), Some(file)) => with_password_of(address, flag, file).map(Some),
        (None, Some(_)) => Err(PlanError::new(format!(
            "{flag} needs the address of that server: a server that the run starts has a password of its own"
        ))),
        (address, None) => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_file_replaces_that_of_the_address() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("password");
        let address = Address::parse("--mqtt", "mqtt://user:old@host").expect("an address");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("space");
            with_password_of(address.clone(), "--mqtt-password-file", &file)
        };
        let credentials = read("on@x /\r\n").map(|address| address.credentials());
        assert_eq!(credentials, Ok(Some(("user".to_owned(), "on@x /".to_owned()))));
        for bad in ["", "\n", "onyx\nlantern"] {
            let error = read(bad).expect_err(bad).to_string();
            assert!(error.contains("--mqtt-password-file") && !error.contains("onyx"), "{error}");
        }
        assert!(address_with_password(None, "--redis-password-file", Some(&file)).is_err());
    }
}
