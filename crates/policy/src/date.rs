//! Dates as HTTP writes them, in all three forms (RFC 9110 5.6.7), as caches must read them.
//!
//! RFC 9111 4.2 asks a cache to match them without regard to case and to take no zone but GMT and
//! UTC for valid; that, and the rule for two-digit years, which depends on the current year, is
//! why the parser is our own. The name of the day is read over: it adds nothing that could be
//! trusted. Anything else is no date, and whoever asks treats `Expires` then as expired.

use http::HeaderValue;
use std::time::{Duration, UNIX_EPOCH};

/// Seconds since 1970 of an HTTP date, or `None` if it is none. `wall_s` is the current time, by
/// which the century of a two-digit year is found.
pub fn parse(bytes: &[u8], wall_s: i64) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\t']);
    if text.len() > LENGTH_MAX {
        return None;
    }
    match text.split_once(',') {
        Some((day, rest)) if is_short_day(day) => parse_imf_fixdate(rest),
        Some((day, rest)) if is_long_day(day) => parse_rfc850(rest, wall_s),
        Some(_) => None,
        None => parse_asctime(text),
    }
}

/// The date as an IMF-fixdate, clamped to what that form can say.
pub fn format(wall_s: i64) -> HeaderValue {
    let seconds = u64::try_from(wall_s).unwrap_or(0).min(SECONDS_MAX);
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

// ` 06 Nov 1994 08:49:37 GMT`
fn parse_imf_fixdate(rest: &str) -> Option<i64> {
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let day = digits(words.next()?, 2)?;
    let month = month(words.next()?)?;
    let year = digits(words.next()?, 4)?;
    let seconds = time_of_day(words.next()?)?;
    ends_in_zone(words)?;
    from_civil(year, month, day, seconds)
}

// ` 06-Nov-94 08:49:37 GMT`
fn parse_rfc850(rest: &str, wall_s: i64) -> Option<i64> {
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let mut date = words.next()?.split('-');
    let day = digits(date.next()?, 2)?;
    let month = month(date.next()?)?;
    let short_year = digits(date.next()?, 2)?;
    if date.next().is_some() {
        return None;
    }
    let seconds = time_of_day(words.next()?)?;
    ends_in_zone(words)?;
    from_civil(full_year(short_year, wall_s), month, day, seconds)
}

// `Sun Nov  6 08:49:37 1994`
fn parse_asctime(text: &str) -> Option<i64> {
    let (day_name, rest) = text.split_once(' ')?;
    if !is_short_day(day_name) {
        return None;
    }
    let (month_name, rest) = rest.split_once(' ')?;
    let month = month(month_name)?;
    let (day, rest) = match rest.strip_prefix(' ') {
        Some(rest) => (digits(rest.get(..1)?, 1)?, rest.get(1..)?),
        None => (digits(rest.get(..2)?, 2)?, rest.get(2..)?),
    };
    let (time, year) = rest.strip_prefix(' ')?.split_once(' ')?;
    from_civil(digits(year, 4)?, month, day, time_of_day(time)?)
}

// RFC 9110 5.6.7: more than 50 years ahead means the most recent past year with those digits.
fn full_year(short_year: i64, wall_s: i64) -> i64 {
    let this_year = 1970 + wall_s.clamp(0, SECONDS_MAX as i64) / 31_556_952;
    let year = this_year - this_year % 100 + short_year;
    if year > this_year + 50 {
        year - 100
    } else if year + 100 <= this_year + 50 {
        year + 100
    } else {
        year
    }
}

fn ends_in_zone<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<()> {
    let zone = words.next()?;
    let known = zone.eq_ignore_ascii_case("gmt") || zone.eq_ignore_ascii_case("utc");
    (known && words.next().is_none()).then_some(())
}

fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = digits(parts.next()?, 2)?;
    // 60 is a leap second.
    let valid = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    valid.then_some(hour * 3600 + minute * 60 + second)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    if text.len() != count || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn month(text: &str) -> Option<i64> {
    let index = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    i64::try_from(index + 1).ok()
}

fn is_short_day(text: &str) -> bool {
    DAYS.iter().any(|day| day[..3].eq_ignore_ascii_case(text))
}

fn is_long_day(text: &str) -> bool {
    DAYS.iter().any(|day| day.eq_ignore_ascii_case(text))
}

// Days are counted from March, so that the leap day is the last of its year.
fn from_civil(year: i64, month: i64, day: i64, seconds: i64) -> Option<i64> {
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era - 719_468) * 86_400 + seconds)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The longest RFC 850 date has 33 bytes.
const LENGTH_MAX: usize = 40;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22.
    const WALL: i64 = 1_795_305_600;

    fn at(text: &str) -> Option<i64> {
        parse(text.as_bytes(), WALL)
    }

    #[test]
    fn the_three_forms_of_rfc_9110_5_6_7_mean_the_same_instant() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " sun, 06 nOV 1994 08:49:37 gmt ",
            "Sun, 06 Nov 1994 08:49:37 UTC",
        ] {
            assert_eq!(at(text), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_of_the_forms_is_no_date() {
        for text in [
            "",
            "0",
            "-1",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 GMT x",
            "Thu, 31 Feb 2050 02:01:18 GMT",
            "Thu, 00 Jan 2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Sun Nov 6 08:49:37 1994",
            "2050-08-18T02:01:18Z",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_two_digit_year_is_never_more_than_fifty_years_ahead() {
        let fixed = |year: u32| at(&format!("Thu, 18 Aug {year} 02:01:18 GMT"));
        assert_eq!(at("Thursday, 18-Aug-50 02:01:18 GMT"), fixed(2050));
        assert_eq!(at("Thursday, 18-Aug-76 02:01:18 GMT"), fixed(2076));
        assert_eq!(at("Thursday, 18-Aug-77 02:01:18 GMT"), fixed(1977));
        let late = 3_750_000_000; // 2088
        let short = parse(b"Thursday, 18-Aug-05 02:01:18 GMT", late);
        assert_eq!(short, fixed(2105));
    }

    #[test]
    fn what_is_written_reads_back_and_agrees_with_httpdate() {
        for seconds in [0, 951_782_400, 1_078_012_800, 2_147_483_648, 4_107_542_400, WALL] {
            let value = format(seconds);
            assert_eq!(parse(value.as_bytes(), WALL), Some(seconds));
            let theirs = httpdate::parse_http_date(value.to_str().unwrap()).unwrap();
            assert_eq!(theirs, UNIX_EPOCH + Duration::from_secs(seconds as u64));
        }
        assert_eq!(format(-5), format(0));
        assert_eq!(format(i64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
