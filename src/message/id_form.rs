//! Forms of a MsgID that are not a plain number: a UUID and a trace context. Both carry the id and a check, so that those of
//! others are not taken for ours.
//!
//! The id is mixed (the finaliser of SplitMix64, <https://doi.org/10.1145/2660193.2660195>), so that neighbours look
//! unlike: samplers of traces look at the low bits of a trace id, and a rising number would bias them.

use super::id::MsgId;

/// A form of the id in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdForm {
    /// `{{msg_uuid}}`: a UUID of version 8 (RFC 9562, 5.8).
    Uuid,
    /// `{{traceparent}}`: a `traceparent` of the W3C Trace Context, version 00.
    Traceparent {
        /// Interval between two messages with the flag *sampled*.
        sample: u64,
    },
}

/// Characters of a UUID.
const UUID_LEN: usize = 36;
/// Characters of a `traceparent`.
const TRACEPARENT_LEN: usize = 55;
/// The longest form.
pub(super) const LONGEST_FORM: usize = TRACEPARENT_LEN;
/// Places of the hyphens of a UUID.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Bits of the check of a UUID: those that are left beside 64 bits of the id, version and variant.
const CHECK_BITS: u32 = 58;
/// Constant that makes the check another mixture than the id.
const CHECK: u64 = 0x6c6f_6164_6765_6e31;
/// Constant for the id of the parent span.
const PARENT: u64 = 0x7061_7265_6e74_6964;

impl IdForm {
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Uuid => UUID_LEN,
            Self::Traceparent { .. } => TRACEPARENT_LEN,
        }
    }

    /// Writes the form of an id over `out`, which is as long as it.
    pub(super) fn write(self, id: u64, out: &mut [u8]) {
        match self {
            Self::Uuid => write_uuid(id, out),
            Self::Traceparent { sample } => write_traceparent(id, id.is_multiple_of(sample), out),
        }
    }
}

/// Returns the bijective mixture of a number.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns the number whose mixture this is. The multipliers are the inverses modulo 2^64.
const fn unmix(mut x: u64) -> u64 {
    x = (x ^ (x >> 31) ^ (x >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    x = (x ^ (x >> 27) ^ (x >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    x ^ (x >> 30) ^ (x >> 60)
}

const fn check_of(id: u64) -> u64 {
    mix(id ^ CHECK)
}

fn write_uuid(id: u64, out: &mut [u8]) {
    let (high, low) = uuid_of(id);
    let mut digits = [0; 32];
    write_hex(high, &mut digits[..16]);
    write_hex(low, &mut digits[16..]);
    let mut digits = digits.into_iter();
    for (place, to) in out.iter_mut().enumerate() {
        *to = if HYPHENS.contains(&place) { b'-' } else { digits.next().unwrap_or_default() };
    }
}

fn write_traceparent(id: u64, is_sampled: bool, out: &mut [u8]) {
    out[..3].copy_from_slice(b"00-");
    write_hex(check_of(id), &mut out[3..19]);
    write_hex(mix(id), &mut out[19..35]);
    out[35] = b'-';
    // An id of zeros is not valid.
    write_hex(mix(id ^ PARENT).max(1), &mut out[36..52]);
    out[52..].copy_from_slice(if is_sampled { b"-01" } else { b"-00" });
}

fn write_hex(value: u64, out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (place, digit) in out.iter_mut().rev().enumerate() {
        *digit = DIGITS[(value >> (4 * place) & 0xf) as usize];
    }
}

fn read_hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |value: u64, digit| {
        let digit = (*digit as char).to_digit(16)?;
        Some(value << 4 | u64::from(digit))
    })
}

/// Returns true if a text has hyphens at these places and hexadecimal digits elsewhere.
fn is_hex_but(hyphens: &[usize], text: &[u8]) -> bool {
    let mut places = text.iter().enumerate();
    places.all(
        |(place, byte)| {
            if hyphens.contains(&place) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
        },
    )
}

/// Returns true if a text is a UUID.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == UUID_LEN && is_hex_but(&HYPHENS, text)
}

/// Returns true if a text is a `traceparent`. Those of later versions may be longer.
fn is_traceparent(text: &[u8]) -> bool {
    text.len() >= TRACEPARENT_LEN && is_hex_but(&[2, 35, 52], &text[..TRACEPARENT_LEN])
}

/// The id in a UUID that [`IdForm::Uuid`] wrote, in digits of either case; `None` for any other UUID.
fn id_of_uuid(text: &[u8]) -> Option<MsgId> {
    let groups = [&text[..8], &text[9..13], &text[14..18], &text[19..23], &text[24..]];
    let mut digits = [0; 32];
    let mut from = 0;
    for group in groups {
        digits[from..from + group.len()].copy_from_slice(group);
        from += group.len();
    }
    id_of_plain_uuid(&digits)
}

/// The id in a UUID without hyphens, of 32 digits.
fn id_of_plain_uuid(digits: &[u8]) -> Option<MsgId> {
    let (high, low) = (read_hex(&digits[..16])?, read_hex(&digits[16..])?);
    let mixed = high >> 16 << 16 | (high & 0xfff) << 4 | low >> CHECK_BITS & 0xf;
    let id = unmix(mixed);
    (uuid_of(id) == (high, low)).then(|| MsgId::new(id)).flatten()
}

/// The two halves of the UUID of an id.
const fn uuid_of(id: u64) -> (u64, u64) {
    let (mixed, check) = (mix(id), check_of(id) >> (64 - CHECK_BITS));
    // 48 bits, version 8, 12 bits; variant 0b10, the last 4 bits of the id, the check.
    let high = (mixed >> 16) << 16 | 0x8000 | (mixed >> 4) & 0xfff;
    (high, 0b10 << 62 | (mixed & 0xf) << CHECK_BITS | check)
}

/// The id in a `traceparent` whose trace began with [`IdForm::Traceparent`]. Services on the way change the parent span
/// and the flags, and keep the trace id.
fn id_of_traceparent(text: &[u8]) -> Option<MsgId> {
    id_of_trace(&text[3..35])
}

/// The id in a trace id of 32 digits; `None` if its trace began elsewhere.
fn id_of_trace(digits: &[u8]) -> Option<MsgId> {
    let id = unmix(read_hex(&digits[16..])?);
    (read_hex(&digits[..16])? == check_of(id)).then(|| MsgId::new(id)).flatten()
}

/// Bytes at the end of a text in which an id is looked for.
const LOOKED_AT: usize = 256;
/// Digits of a trace id, and of a UUID without hyphens.
const TRACE_ID_LEN: usize = 32;
/// Hexadecimal digits in a row from which on they are an id of some kind and no number, if a letter is among them.
const LONG_HEX: usize = 16;

/// A form of an id in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FoundForm {
    /// One that loadgen wrote.
    Own(MsgId),
    /// One of others.
    Foreign,
}

/// The first form of an id in a text that is one of ours, else one of others; `None` without any.
fn form_in(text: &[u8]) -> Option<FoundForm> {
    let mut foreign = None;
    let begins_word = |at: &usize| *at == 0 || !text[*at - 1].is_ascii_alphanumeric();
    for at in (0..text.len()).filter(begins_word) {
        let rest = &text[at..];
        let head = |len: usize| rest.get(..len).unwrap_or_default();
        let run = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let id = if is_traceparent(head(TRACEPARENT_LEN)) {
            id_of_traceparent(rest)
        } else if is_uuid(head(UUID_LEN)) {
            id_of_uuid(head(UUID_LEN))
        } else if run == TRACE_ID_LEN {
            id_of_trace(&rest[..run]).or_else(|| id_of_plain_uuid(&rest[..run]))
        } else if is_long_hex(&rest[..run]) {
            None
        } else {
            continue;
        };
        match id {
            Some(id) => return Some(FoundForm::Own(id)),
            None => foreign = Some(FoundForm::Foreign),
        }
    }
    foreign
}

/// Returns true if hexadecimal digits are an id of some kind: many, and not a number behind a few letters (`c1000`).
fn is_long_hex(digits: &[u8]) -> bool {
    let number = digits.iter().skip_while(|digit| !digit.is_ascii_digit());
    digits.len() >= LONG_HEX && number.clone().any(u8::is_ascii_alphabetic)
}

/// Returns true if a text has a UUID or a trace id that carries an id.
pub(super) fn has_own_form(text: &[u8]) -> bool {
    matches!(form_in(end_of(text)), Some(FoundForm::Own(_)))
}

/// The id in a text: a form of [`IdForm`] anywhere in it, or the digits at its end (`order-17`). A text with a form of others
/// has none.
pub(super) fn id_in_text(text: &[u8]) -> Option<MsgId> {
    let text = end_of(text.trim_ascii());
    match form_in(text) {
        Some(FoundForm::Own(id)) => return Some(id),
        Some(FoundForm::Foreign) => return None,
        None => {}
    }
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[text.len() - digits..]).ok()?;
    MsgId::new(number.parse().ok()?)
}

fn end_of(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(LOOKED_AT)..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(form: IdForm, id: u64) -> String {
        let mut out = vec![0; form.len()];
        form.write(id, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn read(text: &str) -> Option<u64> {
        id_in_text(text.as_bytes()).map(MsgId::get)
    }

    #[test]
    fn forms_are_as_their_standards_have_them() {
        let uuid = written(IdForm::Uuid, 17);
        let groups: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert!(uuid[14..].starts_with('8') && "89ab".contains(&uuid[19..20]), "{uuid}");
        let trace = written(IdForm::Traceparent { sample: 10 }, 17);
        assert!(trace.starts_with("00-") && trace.ends_with("-00"), "{trace}");
        assert!(written(IdForm::Traceparent { sample: 10 }, 20).ends_with("-01"));
        // The next service has another span and samples.
        let passed_on = format!("{}00f067aa0ba902b7-01", &trace[..36]);
        assert_eq!(read(&passed_on), Some(17));
    }

    #[test]
    fn texts_of_others_are_not_taken_for_ids() {
        for text in [
            "",
            "-",
            "order-",
            "9007199254740992",
            "123e4567-e89b-12d3-a456-426614174000",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "urn:uuid:123e4567-e89b-12d3-a456-426614174000",
            "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        // Digits at the end are an id: whether it is one of the run, the account tells.
        assert_eq!(read("order-0017"), Some(17));
        assert_eq!(read(" 17\n"), Some(17));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in 0..=MsgId::MAX, sample in 1u64..1_000) {
            prop_assert_eq!(unmix(mix(id)), id);
            let uuid = written(IdForm::Uuid, id);
            prop_assert_eq!(read(&uuid), Some(id));
            prop_assert_eq!(read(&uuid.to_uppercase()), Some(id));
            prop_assert_eq!(read(&written(IdForm::Traceparent { sample }, id)), Some(id));
            for prefix in ["run-", "ref", "c", "/a/", "#"] {
                prop_assert_eq!(read(&format!("{prefix}{id}")), Some(id));
            }
            // As they are found in fields of other names and in logs.
            prop_assert_eq!(read(&format!("urn:uuid:{uuid}")), Some(id));
            prop_assert_eq!(read(&uuid.replace('-', "")), Some(id));
            let trace = written(IdForm::Traceparent { sample }, id);
            prop_assert_eq!(read(&trace[3..35]), Some(id));
            prop_assert_eq!(read(&format!("b3={}-00f067aa0ba902b7-1", &trace[3..35])), Some(id));
            prop_assert_eq!(read(&format!("tp={trace} of 7")), Some(id));
        }

        /// A digit that is changed makes the form that of another.
        #[test]
        fn a_changed_digit_is_seen(id in 0..=MsgId::MAX, place in 0usize..36) {
            let mut text = written(IdForm::Uuid, id).into_bytes();
            prop_assume!(text[place] != b'-');
            text[place] = if text[place] == b'0' { b'1' } else { b'0' };
            prop_assert_ne!(id_of_uuid(&text), MsgId::new(id));
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = id_in_text(&text);
        }
    }
}
