//! Points in time, in whole seconds of Unix time, written as RFC 3339 UTC with `Z`.

use std::fmt;
use std::time::SystemTime;

/// Seconds since 1970-01-01T00:00:00Z. Arithmetic saturates: a hostile clock or server never overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The last second RFC 3339 can write, 9999-12-30T22:00:00Z (the calendar library's own bound).
    const LAST: i64 = 253_402_207_200;

    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// A point in time from Unix seconds, held to the years 1 to 9999.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.clamp(-62_135_596_800, Self::LAST))
    }

    /// A point in time as the system counts it.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        Self::from_unix(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |seconds| -seconds),
        })
    }

    /// Unix seconds.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }

    /// This point moved by a number of seconds.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to here; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// As the clock on the wall shows it, without a zone: `2026-01-02 03:04:05.000000`, for programs that expect just that.
    #[must_use]
    pub fn on_the_wall(self) -> String {
        let Ok(stamp) = jiff::Timestamp::from_second(self.0) else { return String::new() };
        stamp.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S.000000").to_string()
    }

    /// Reads exactly `YYYY-MM-DDTHH:MM:SSZ`, as [`fmt::Display`] writes it; any other form is `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        let stamp = Self::from_unix(parsed.as_second());
        (stamp.to_string() == text).then_some(stamp)
    }

    /// Reads an HTTP date in its one preferred form (RFC 9110 section 5.6.7).
    #[must_use]
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Self::from_unix(zoned.as_second()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{shown:.0}")
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_is_read_and_it_is_the_form_written() {
        let text = "2026-01-02T03:04:05Z";
        assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        for other in [
            "2026-01-02T03:04:05.5Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05z",
            "2026-02-30T00:00:00Z",
            "2026-01-02T24:00:00Z",
            "2026-01-02T03:04:60Z",
            "",
            "now",
            "1767323045",
            " 2026-01-02T03:04:05Z",
            "2026-01-02T03:04:05Z[UTC]",
        ] {
            assert!(Timestamp::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn far_ends_saturate_and_can_be_written() {
        for seconds in [i64::MIN, -62_135_596_800, 0, 2_147_483_648, 4_294_967_296, i64::MAX] {
            let stamp = Timestamp::from_unix(seconds).plus(i64::MAX).plus(i64::MIN);
            assert_eq!(Timestamp::parse(&stamp.to_string()), Some(stamp));
            let end = Timestamp::from_unix(seconds);
            assert_eq!(Timestamp::parse(&end.to_string()), Some(end), "{end}");
        }
    }

    #[test]
    fn an_http_date_is_read() {
        let stamp = Timestamp::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        assert_eq!(stamp.to_string(), "2026-10-21T07:28:00Z");
    }
}
