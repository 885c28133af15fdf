//! Writing wall time: RFC 3339 in UTC with milliseconds, and the form of the common log format.
//! Pure: the time is an argument.

const SECONDS_PER_DAY: i64 = 86_400;

/// The civil date of a day counted from 1970-01-01: year, month 1-12, day 1-31.
///
/// Proleptic Gregorian, by the era arithmetic of Howard Hinnant's `civil_from_days`.
pub fn civil_from_days(days: i64) -> (i64, u8, u8) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

/// Appends `2026-11-22T21:16:07.042Z`.
pub fn write_rfc3339_ms(out: &mut Vec<u8>, wall_s: i64, wall_ms: u16) {
    let moment = Moment::of(wall_s);
    moment.write_year(out);
    out.push(b'-');
    two_digits(out, moment.month);
    out.push(b'-');
    two_digits(out, moment.day);
    out.push(b'T');
    moment.write_clock(out);
    let ms = wall_ms.min(999);
    out.push(b'.');
    out.push(b'0' + (ms / 100) as u8);
    two_digits(out, (ms % 100) as u8);
    out.push(b'Z');
}

/// Appends `22/Nov/2026:21:16:07 +0000`.
pub fn write_clf(out: &mut Vec<u8>, wall_s: i64) {
    const MONTHS: [&[u8; 3]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov",
        b"Dec",
    ];
    let moment = Moment::of(wall_s);
    two_digits(out, moment.day);
    out.push(b'/');
    out.extend_from_slice(MONTHS[usize::from(moment.month - 1) % 12]);
    out.push(b'/');
    moment.write_year(out);
    out.push(b':');
    moment.write_clock(out);
    out.extend_from_slice(b" +0000");
}

struct Moment {
    year: i64,
    month: u8,
    day: u8,
    second_of_day: u32,
}

impl Moment {
    fn of(wall_s: i64) -> Self {
        let (year, month, day) = civil_from_days(wall_s.div_euclid(SECONDS_PER_DAY));
        let second_of_day = wall_s.rem_euclid(SECONDS_PER_DAY) as u32;
        Self { year, month, day, second_of_day }
    }

    /// Four digits: the forms written here have no others.
    fn write_year(&self, out: &mut Vec<u8>) {
        let year = self.year.clamp(0, 9999);
        two_digits(out, (year / 100) as u8);
        two_digits(out, (year % 100) as u8);
    }

    fn write_clock(&self, out: &mut Vec<u8>) {
        two_digits(out, (self.second_of_day / 3600) as u8);
        out.push(b':');
        two_digits(out, (self.second_of_day / 60 % 60) as u8);
        out.push(b':');
        two_digits(out, (self.second_of_day % 60) as u8);
    }
}

fn two_digits(out: &mut Vec<u8>, number: u8) {
    out.extend_from_slice(&[b'0' + number / 10 % 10, b'0' + number % 10]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(wall_s: i64, wall_ms: u16) -> String {
        let mut out = Vec::new();
        write_rfc3339_ms(&mut out, wall_s, wall_ms);
        String::from_utf8(out).unwrap()
    }

    fn clf(wall_s: i64) -> String {
        let mut out = Vec::new();
        write_clf(&mut out, wall_s);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments_are_written_as_rfc_3339_has_them() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(rfc3339(2_147_483_648, 999), "2038-01-19T03:14:08.999Z");
        assert_eq!(rfc3339(-1, 42), "1969-12-31T23:59:59.042Z");
        assert_eq!(rfc3339(4_107_542_399, 5_000), "2100-02-28T23:59:59.999Z");
        assert_eq!(rfc3339(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn the_common_log_format_names_months() {
        assert_eq!(clf(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(clf(1_000_000_000), "09/Sep/2001:01:46:40 +0000");
    }

    #[test]
    fn absurd_times_stay_in_form() {
        for wall_s in [i64::MIN / 4, i64::MAX / 4] {
            assert_eq!(rfc3339(wall_s, 0).len(), 24);
            assert_eq!(clf(wall_s).len(), 26);
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let length = |year: i64, month: u8| match month {
            2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let mut expected = (1970, 1, 1);
        for days in 0..146_097 * 2 {
            assert_eq!(civil_from_days(days), expected);
            let (year, month, day) = expected;
            expected = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, day) if day == length(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }
}
