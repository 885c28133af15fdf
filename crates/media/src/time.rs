//! Numbers and times as manifests write them (RFC 8216 4.2, XML Schema 1.0 part 2 3.2.6 and
//! 3.2.7, both after ISO 8601). What overflows is refused, never wrapped.

use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted; may lie before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// That much later; what lies beyond all numbers is the last of them.
    pub fn plus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms))
    }

    /// That much earlier.
    pub fn minus(self, duration: Duration) -> Self {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(ms))
    }

    /// How long after `earlier` it is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// No duration of a manifest is longer: a hundred years.
pub const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A decimal-integer (RFC 8216 4.2): digits alone, at most 2^64 - 1.
pub fn integer(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A decimal-floating-point (RFC 8216 4.2) of seconds, to the microsecond below; at most
/// [`DURATION_MAX`].
pub fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole = if whole.is_empty() { 0 } else { integer(whole)? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| u32::from(byte - b'0'));
        micros = micros * 10 + digit;
    }
    let duration = Duration::from_secs(whole).checked_add(Duration::from_micros(micros.into()))?;
    (duration <= DURATION_MAX).then_some(duration)
}

/// An xs:duration, `P1DT2H3.5S`; a year is 365 days and a month 30, as players have it. None for
/// a negative one.
pub fn duration(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let days = [('Y', 365 * 86_400), ('M', 30 * 86_400), ('W', 7 * 86_400), ('D', 86_400)];
    let hours = [('H', 3600), ('M', 60), ('S', 1)];
    let sum = fields(date, &days)?.checked_add(fields(time, &hours)?)?;
    (sum <= DURATION_MAX).then_some(sum)
}

/// Numbers with their units, in order; only the last of seconds may have a fraction.
fn fields(mut text: &str, units: &[(char, u64)]) -> Option<Duration> {
    let mut sum = Duration::ZERO;
    let mut units = units.iter();
    while !text.is_empty() {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, unit) = (&text[..end], text[end..].chars().next()?);
        let (_, weight) = units.by_ref().find(|(known, _)| *known == unit)?;
        let value = match unit {
            'S' => seconds(number)?,
            _ => Duration::from_secs(integer(number)?.checked_mul(*weight)?),
        };
        sum = sum.checked_add(value)?;
        text = &text[end + unit.len_utf8()..];
    }
    Some(sum)
}

/// An xs:dateTime, `2026-11-23T14:30:00.5Z`; without an offset it is UTC. Years 1 to 9999.
pub fn date(text: &str) -> Option<UnixMs> {
    let (day, rest) = text.split_once(['T', 't'])?;
    let (year, month, day) = match *day.split('-').collect::<Vec<_>>() {
        [year, month, day] if year.len() == 4 => (year, two(month)?, two(day)?),
        _ => return None,
    };
    let year = i64::try_from(integer(year)?).ok()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month_index = usize::try_from(month).ok()?.checked_sub(1)?;
    if year == 0 || !(1..=*days_of.get(month_index)?).contains(&day) {
        return None;
    }
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(end);
    let (hour, minute, second) = match *clock.split(':').collect::<Vec<_>>() {
        [hour, minute, second] => (two(hour)?, two(minute)?, second),
        _ => return None,
    };
    let whole = second.split('.').next()?;
    let fine = hour < 24 && minute < 60 && two(whole)? <= 60;
    let second = i64::try_from(seconds(second)?.as_millis()).ok()?;
    let years = year - 1;
    let days = years * 365 + years / 4 - years / 100 + years / 400 - 719_162
        + days_of[..month_index].iter().sum::<i64>()
        + day
        - 1;
    let minutes = (days * 24 + hour) * 60 + minute - zone_minutes(zone)?;
    fine.then_some(UnixMs(minutes * 60_000 + second))
}

/// How far a zone is ahead of UTC.
fn zone_minutes(zone: &str) -> Option<i64> {
    let Some(sign) = zone.chars().next() else { return Some(0) };
    if zone.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let digits = &zone[1..];
    // Encoders write +0100 as well as +01:00.
    let (hours, minutes) = match digits.len() {
        4 if digits.is_ascii() => digits.split_at(2),
        _ => digits.split_once(':')?,
    };
    let offset = two(hours)? * 60 + two(minutes)?;
    match sign {
        '+' if offset <= 14 * 60 => Some(offset),
        '-' if offset <= 14 * 60 => Some(-offset),
        _ => None,
    }
}

fn two(text: &str) -> Option<i64> {
    if text.len() != 2 {
        return None;
    }
    integer(text).and_then(|number| i64::try_from(number).ok())
}
