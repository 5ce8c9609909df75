//! Names whose values are secrets.

/// A word of a name that makes its value a secret.
const SECRET_WORDS: [&str; 30] = [
    "auth",
    "authentication",
    "bearer",
    "card",
    "code",
    "cookie",
    "cred",
    "creds",
    "csrf",
    "cvc",
    "cvv",
    "hmac",
    "key",
    "oauth",
    "otp",
    "pass",
    "passwd",
    "passw",
    "pin",
    "psw",
    "pw",
    "pwd",
    "sess",
    "session",
    "sid",
    "sig",
    "ssn",
    "totp",
    "xsrf",
    "userpass",
];
/// Parts of a word that do the same: names are often written without anything between their words.
const SECRET_PARTS: [&str; 17] = [
    "accesskey",
    "apikey",
    "authkey",
    "authorization",
    "credential",
    "encryptionkey",
    "jwt",
    "passcode",
    "passphrase",
    "password",
    "passwd",
    "privatekey",
    "secret",
    "sessionid",
    "signature",
    "signingkey",
    "token",
];
/// Words before `code` or `key` with which it is not a secret: `country_code`, `sort_key`.
const HARMLESS_BEFORE_CODE: [&str; 16] = [
    "area", "color", "country", "currency", "error", "exit", "lang", "language", "post", "postal",
    "product", "reason", "region", "response", "status", "zip",
];
const HARMLESS_BEFORE_KEY: [&str; 10] = [
    "cache",
    "foreign",
    "hash",
    "object",
    "partition",
    "primary",
    "public",
    "range",
    "routing",
    "sort",
];
/// Whole names that would be taken for a secret's.
const HARMLESS_NAMES: [&str; 8] = [
    "max tokens",
    "max new tokens",
    "max output tokens",
    "max completion tokens",
    "token type",
    "tokenizer",
    "secretary",
    "design key",
];

/// Returns true if the value of a parameter, a header, a field or a flag of this name may be a secret. Upper case, `-`, `_`
/// and camelCase make no difference. Whole words are compared, so `monkey` and `zipcode` are not secrets.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    if HARMLESS_NAMES.contains(&words.join(" ").as_str()) {
        return false;
    }
    let previous = std::iter::once("").chain(words.iter().map(String::as_str));
    words.iter().zip(previous).any(|(word, previous)| is_secret_word(word, previous))
}

/// Returns true if a text has a word that is hardly ever about anything but a secret.
pub(super) fn names_a_secret(text: &str) -> bool {
    words(text).iter().any(|word| has_secret_part(word))
}

fn is_secret_word(word: &str, previous: &str) -> bool {
    match word {
        "code" => !HARMLESS_BEFORE_CODE.contains(&previous),
        "key" => !HARMLESS_BEFORE_KEY.contains(&previous),
        word => SECRET_WORDS.contains(&word) || has_secret_part(word),
    }
}

fn has_secret_part(word: &str) -> bool {
    SECRET_PARTS.iter().any(|part| word.contains(part))
}

/// The words of a name in lower case, without digits: `X-Amz-Signature`, `apiKey2`, `APIKey`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let is_upper = |n: usize| chars.get(n).is_some_and(|c| c.is_uppercase());
    let is_lower = |n: usize| chars.get(n).is_some_and(|c| c.is_lowercase());
    let mut words = vec![String::new()];
    for (n, c) in chars.iter().enumerate() {
        let begins =
            is_upper(n) && n > 0 && (is_lower(n - 1) || is_upper(n - 1) && is_lower(n + 1));
        if begins || !c.is_alphabetic() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
