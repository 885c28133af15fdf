//! What is numbers in wire form and something else in text: times, sets of types, algorithms.

use std::fmt;

use super::{Misread, Token};
use crate::kind::{self, Kind};

/// Seconds of a text like `3600` or `1h30m` (units w, d, h, m, s, as BIND has them); `None`: it is
/// none, or beyond 32 bits.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let mut total = 0_u32;
    let mut digits = None::<u32>;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            let tens = digits.unwrap_or(0).checked_mul(10)?;
            digits = Some(tens.checked_add(u32::from(byte - b'0'))?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(digits.take()?.checked_mul(unit)?)?;
    }
    match digits {
        Some(seconds) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(seconds),
        Some(_) => None,
        None if text.is_empty() => None,
        None => Some(total),
    }
}

/// Seconds since 1970 of `YYYYMMDDHHmmSS`, or of the seconds themselves (RFC 4034 3.2).
pub(crate) fn moment_from_text(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if text.len() != 14 {
        return text.parse().ok();
    }
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_of(year, month, day);
    // A day that its month does not have is another's.
    if date_of(days) != (year, month, day) {
        return None;
    }
    u32::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

/// Writes seconds since 1970 as `YYYYMMDDHHmmSS`.
pub(super) fn write_moment(moment: u32, out: &mut impl fmt::Write) -> fmt::Result {
    let (year, month, day) = date_of(i64::from(moment / 86_400));
    let second = moment % 86_400;
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    write!(out, "{year:04}{month:02}{day:02}{hour:02}{minute:02}{:02}", second % 60)
}

/// Days since 1970 of a date, by years that begin in March: leap days are last then.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The date that is so many days since 1970 and not before year 0.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month < 3), month, day)
}

/// A set of types as bits: for each 256 types that have any, the number, a length, and the bits
/// (RFC 4034 4.1.2).
pub(super) fn bits_from_text(tokens: &[Token<'_>]) -> Result<Vec<u8>, Misread> {
    let mut kinds = Vec::new();
    for token in tokens {
        kinds.push(kind::from_text(token.text).ok_or_else(|| token.wanted("a type"))?);
    }
    kinds.sort_unstable();
    kinds.dedup();
    let mut wire = Vec::new();
    for window in kinds.chunk_by(|a, b| a >> 8 == b >> 8) {
        let last = window.last().map_or(0, |kind| usize::from(kind & 0xff));
        let mut bits = vec![0_u8; last / 8 + 1];
        for kind in window {
            bits[usize::from(kind & 0xff) / 8] |= 0x80 >> (kind & 7);
        }
        wire.extend_from_slice(&[(window[0] >> 8) as u8, bits.len() as u8]);
        wire.extend_from_slice(&bits);
    }
    Ok(wire)
}

/// Writes a set of types; `None`: the bytes are none.
pub(super) fn write_bits(mut wire: &[u8], out: &mut impl fmt::Write) -> Option<()> {
    let mut above = None;
    while let [window, length, rest @ ..] = wire {
        let (bits, rest) = rest.split_at_checked(usize::from(*length))?;
        let is_sound = above.is_none_or(|above| above < *window)
            && (1..=32).contains(length)
            && bits.last() != Some(&0);
        if !is_sound {
            return None;
        }
        for bit in (0..bits.len() * 8).filter(|bit| bits[bit / 8] & (0x80 >> (bit & 7)) != 0) {
            write!(out, " {}", Kind(u16::from(*window) << 8 | bit as u16)).ok()?;
        }
        above = Some(*window);
        wire = rest;
    }
    wire.is_empty().then_some(())
}

/// The number of a DNSSEC algorithm that is named.
pub(super) fn algorithm(text: &str) -> Option<u8> {
    let by_name = [
        ("RSASHA1", 5),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("NSEC3RSASHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
        ("INDIRECT", 252),
        ("PRIVATEDNS", 253),
        ("PRIVATEOID", 254),
    ];
    by_name.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number)
}

/// The number of a certificate's form that is named (RFC 4398 2.1).
pub(super) fn certificate_form(text: &str) -> Option<u16> {
    let by_name = [
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ];
    by_name.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_or_are_seconds() {
        for (text, expected) in [
            ("0", Some(0)),
            ("3600", Some(3_600)),
            ("1h30m", Some(5_400)),
            ("1W2D3H4M5S", Some(788_645)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("8000w", None),
            ("1h30", None),
            ("h", None),
            ("", None),
            ("-1", None),
            ("1x", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn moments_are_dates_or_seconds() {
        for (text, expected) in [
            ("19700101000000", Some(0)),
            ("20040509183619", Some(1_084_127_779)),
            ("20240229235959", Some(1_709_251_199)),
            ("21060207062815", Some(u32::MAX)),
            ("21060207062816", None),
            ("19691231235959", None),
            ("20230229000000", None),
            ("20230431000000", None),
            ("20231301000000", None),
            ("20230101240000", None),
            ("00000000000000", None),
            ("1084127779", Some(1_084_127_779)),
            ("", None),
            ("+1", None),
        ] {
            assert_eq!(moment_from_text(text), expected, "{text}");
        }
        for moment in [0, 1, 951_782_400, 951_868_800, 4_107_542_400, u32::MAX] {
            let mut text = String::new();
            write_moment(moment, &mut text).expect("a string takes all");
            assert_eq!(moment_from_text(&text), Some(moment), "{text}");
        }
    }
}
