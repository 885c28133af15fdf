//! Numbers, durations and dates.

use super::ms;
use crate::time::{UnixMs, date, duration, integer, seconds};

#[test]
fn durations_are_read_as_encoders_write_them() {
    assert_eq!(duration("PT2S"), Some(ms(2000)));
    assert_eq!(duration("PT0H1M2.5S"), Some(ms(62_500)));
    assert_eq!(duration("P0Y0M1DT0H0M0.000S"), Some(ms(86_400_000)));
    assert_eq!(duration("PT1M"), Some(ms(60_000)));
    assert_eq!(duration("P1M"), Some(ms(30 * 86_400_000)));
    for odd in ["", "P", "PT", "P1DT", "-PT1S", "PT1S1M", "PT1.5M", "PT1", "1S", "PTS", "PT1é"] {
        assert_eq!(duration(odd), None, "{odd}");
    }
}

#[test]
fn numbers_that_overflow_are_none() {
    assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
    for odd in ["18446744073709551616", "", "-1", "+1", " 1", "0x1", "1.0"] {
        assert_eq!(integer(odd), None, "{odd}");
    }
    assert_eq!(seconds("6.006"), Some(ms(6006)));
    assert_eq!(seconds("0.33334999"), Some(std::time::Duration::from_micros(333_349)));
    for odd in ["99999999999", "18446744073709551615", ".", "-1", "1e3", "nan", "1.-5"] {
        assert_eq!(seconds(odd), None, "{odd}");
    }
    assert_eq!(duration("P99999999999999Y"), None);
    assert_eq!(duration("P101Y"), None);
}

#[test]
fn dates_are_read_with_any_offset() {
    assert_eq!(date("1970-01-01T00:00:00Z"), Some(UnixMs(0)));
    assert_eq!(date("2026-11-23T14:30:00.250+0000"), Some(UnixMs(1_795_444_200_250)));
    assert_eq!(date("2026-11-23T15:30:00+01:00"), date("2026-11-23T14:30:00Z"));
    assert_eq!(date("2026-11-23T14:30:00"), date("2026-11-23T14:30:00Z"));
    assert_eq!(date("2000-02-29T23:59:60Z"), date("2000-03-01T00:00:00Z"));
    assert_eq!(date("0001-01-01T00:00:00Z"), Some(UnixMs(-62_135_596_800_000)));
    let odd = [
        "",
        "T",
        "2026-11-23",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T14:30Z",
        "2026-11-23T14:30:00+25:00",
        "99999-01-01T0:0:0Z",
        "2026-11-23T14:30:00+é",
    ];
    for odd in odd {
        assert_eq!(date(odd), None, "{odd}");
    }
}

#[test]
fn times_do_not_wrap() {
    assert_eq!(UnixMs(i64::MAX).plus(ms(1)), UnixMs(i64::MAX));
    assert_eq!(UnixMs(i64::MIN).minus(ms(1)), UnixMs(i64::MIN));
    assert_eq!(UnixMs(5).since(UnixMs(7)), ms(0));
    assert_eq!(UnixMs(7).since(UnixMs(5)), ms(2));
}
