//! Cookies that prove an address (RFC 7873, RFC 9018).
//!
//! ```text
//!  0        8        9          12          16       24
//!  | client | version | reserved | timestamp | hash   |
//! ```
//!
//! The hash is SipHash-2-4 over all before it and the client's address, so that all servers with
//! one secret take each other's cookies. Two secrets are known at a time: a new one is rolled out
//! to all while the old one still counts. The time is handed in.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Bytes of the client's part.
const CLIENT_BYTES: usize = 8;
/// Bytes of the server's part, as RFC 9018 makes it.
pub(crate) const SERVER_BYTES: usize = 16;
/// Bytes of the server's part as others may make it (RFC 7873 4).
const SERVER_BYTES_ALLOWED: std::ops::RangeInclusive<usize> = 8..=32;
/// The only version there is.
const VERSION: u8 = 1;
/// A cookie older than this is no proof any more (RFC 9018 4.3).
const AGE_MAX_S: u32 = 3600;
/// A clock may be this much ahead of ours.
const AHEAD_MAX_S: u32 = 300;
/// A cookie older than this is replaced while it is still good.
const AGE_FRESH_S: u32 = 1800;

/// The option as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie<'a> {
    /// What the client made up for us.
    pub(crate) client: &'a [u8; CLIENT_BYTES],
    /// What it was given; empty when it has nothing yet.
    pub(crate) server: &'a [u8],
}

/// What a cookie proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieProof {
    /// None came, or cookies are off.
    Absent,
    /// The client has none from us yet.
    Unproven,
    /// It is not ours, or too old, or another address's.
    Wrong,
    /// The address is the client's.
    Good,
}

/// What cookies are made with.
#[derive(Clone)]
pub struct CookieSecrets {
    current: SipHasher24,
    previous: Option<SipHasher24>,
}

/// Reads the option; `None`: malformed, which is every length that RFC 7873 5.2.2 does not know.
pub(crate) fn read(bytes: &[u8]) -> Option<Cookie<'_>> {
    let (client, server) = bytes.split_first_chunk::<CLIENT_BYTES>()?;
    let is_known = server.is_empty() || SERVER_BYTES_ALLOWED.contains(&server.len());
    is_known.then_some(Cookie { client, server })
}

impl CookieSecrets {
    /// Cookies are made with `current`; those made with `previous` are good still.
    #[must_use]
    pub fn new(current: &[u8; 16], previous: Option<&[u8; 16]>) -> Self {
        Self {
            current: SipHasher24::new_with_key(current),
            previous: previous.map(SipHasher24::new_with_key),
        }
    }

    /// Says what a cookie proves, and the server's part to reply with. `now` is in Unix seconds.
    pub(crate) fn check(
        &self,
        cookie: &Cookie<'_>,
        client: IpAddr,
        now: u32,
    ) -> (CookieProof, [u8; SERVER_BYTES]) {
        let Ok(server) = <&[u8; SERVER_BYTES]>::try_from(cookie.server) else {
            let proof =
                if cookie.server.is_empty() { CookieProof::Unproven } else { CookieProof::Wrong };
            return (proof, self.make(cookie.client, client, now));
        };
        let [version, _, _, _, t0, t1, t2, t3, hash @ ..] = *server;
        // Times wrap as serial numbers do (RFC 1982).
        let age = now.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])) as i32;
        let is_timely = age <= AGE_MAX_S as i32 && age >= -(AHEAD_MAX_S as i32);
        if version != VERSION || !is_timely {
            return (CookieProof::Wrong, self.make(cookie.client, client, now));
        }
        let expected = |secret| digest(secret, cookie.client, server, client) == hash;
        if expected(&self.current) {
            let is_fresh = age <= AGE_FRESH_S as i32;
            let reply = if is_fresh { *server } else { self.make(cookie.client, client, now) };
            return (CookieProof::Good, reply);
        }
        let is_good = self.previous.as_ref().is_some_and(expected);
        let proof = if is_good { CookieProof::Good } else { CookieProof::Wrong };
        (proof, self.make(cookie.client, client, now))
    }

    fn make(&self, cookie: &[u8; CLIENT_BYTES], client: IpAddr, now: u32) -> [u8; SERVER_BYTES] {
        let mut server = [0; SERVER_BYTES];
        server[0] = VERSION;
        server[4..8].copy_from_slice(&now.to_be_bytes());
        let hash = digest(&self.current, cookie, &server, client);
        server[8..].copy_from_slice(&hash);
        server
    }
}

/// The hash of a cookie: reserved bytes count as they are (RFC 9018 4.4).
fn digest(
    secret: &SipHasher24,
    cookie: &[u8; CLIENT_BYTES],
    server: &[u8; SERVER_BYTES],
    client: IpAddr,
) -> [u8; 8] {
    let mut input = [0; CLIENT_BYTES + 8 + 16];
    input[..8].copy_from_slice(cookie);
    input[8..16].copy_from_slice(&server[..8]);
    let len = match client {
        IpAddr::V4(v4) => {
            input[16..20].copy_from_slice(&v4.octets());
            20
        }
        IpAddr::V6(v6) => {
            input[16..32].copy_from_slice(&v6.octets());
            32
        }
    };
    secret.hash(&input[..len]).to_le_bytes()
}

/// The secrets are not for a log.
impl std::fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieSecrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn secrets(current: &str, previous: Option<&str>) -> CookieSecrets {
        let key = |hex: &str| <[u8; 16]>::try_from(bytes(hex)).expect("16 bytes");
        CookieSecrets::new(&key(current), previous.map(key).as_ref())
    }

    /// The proof, and the whole option that is replied with.
    fn check(
        secrets: &CookieSecrets,
        option: &str,
        client: &str,
        now: u32,
    ) -> (CookieProof, Vec<u8>) {
        let option = bytes(option);
        let cookie = read(&option).expect("a cookie");
        let (proof, server) = secrets.check(&cookie, client.parse().expect("an address"), now);
        (proof, [cookie.client.as_slice(), &server].concat())
    }

    #[test]
    fn the_vectors_of_rfc_9018_appendix_a_are_met() {
        let one = secrets(SECRET, None);
        let (a1, a1_time) = ("2464c4abcf10c957010000005cf79f111f8130c3eee29480", 1_559_731_985);
        let learnt = check(&one, "2464c4abcf10c957", "198.51.100.100", a1_time);
        assert_eq!(learnt, (CookieProof::Unproven, bytes(a1)));
        let renewed = check(&one, a1, "198.51.100.100", 1_559_734_385);
        let a2 = bytes("2464c4abcf10c957010000005cf7a871d4a564a1442aca77");
        assert_eq!(renewed, (CookieProof::Good, a2));
        let a3 = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let a3_reply = bytes("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e");
        let replied = check(&one, a3, "203.0.113.203", 1_559_734_700);
        // That cookie is an hour and 48 minutes old in the text, and good before.
        assert_eq!(replied.1, a3_reply);
        assert_eq!(check(&one, a3, "203.0.113.203", 0x5cf7_8f71 + 60).0, CookieProof::Good);
        let two =
            secrets("445536bcd2513298075a5d379663c962", Some("dd3bdf9344b678b185a6f5cb60fca715"));
        let a4 = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let a4_client = "2001:db8:220:1:59de:d0f4:8769:82b8";
        let a4_reply = bytes("22681ab97d52c298010000005cf7c609a6bb79d16625507a");
        assert_eq!(check(&two, a4, a4_client, 1_559_741_961), (CookieProof::Good, a4_reply));
    }

    #[test]
    fn a_fresh_cookie_is_kept_and_a_stale_or_foreign_one_is_wrong() {
        let (secrets, made) = (secrets(SECRET, None), 1_559_731_985);
        let option = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        let proof = |client, now| check(&secrets, option, client, now);
        assert_eq!(proof("198.51.100.100", made + 1800), (CookieProof::Good, bytes(option)));
        for (now, expected) in [
            (made + AGE_MAX_S, CookieProof::Good),
            (made + AGE_MAX_S + 1, CookieProof::Wrong),
            (made - AHEAD_MAX_S, CookieProof::Good),
            (made - AHEAD_MAX_S - 1, CookieProof::Wrong),
        ] {
            assert_eq!(proof("198.51.100.100", now).0, expected, "{now}");
        }
        assert_eq!(proof("198.51.100.101", made).0, CookieProof::Wrong);
        let other = "0464c4abcf10c957010000005cf79f111f8130c3eee29480";
        assert_eq!(check(&secrets, other, "198.51.100.100", made).0, CookieProof::Wrong);
        let version = "2464c4abcf10c957020000005cf79f111f8130c3eee29480";
        assert_eq!(check(&secrets, version, "198.51.100.100", made).0, CookieProof::Wrong);
    }

    #[test]
    fn a_cookie_has_8_bytes_or_16_to_40() {
        for len in 0..=64 {
            let is_read = read(&[7; 64][..len]).is_some();
            assert_eq!(is_read, len == 8 || (16..=40).contains(&len), "{len}");
        }
        let (proof, _) = check(&secrets(SECRET, None), &"07".repeat(40), "::1", 5);
        assert_eq!(proof, CookieProof::Wrong);
    }

    #[test]
    fn two_servers_that_know_one_secret_take_each_others_cookies() {
        let (old, new) = ("00".repeat(16), "11".repeat(16));
        let option = check(&secrets(&old, None), "0102030405060708", "::1", 9).1;
        let hex: String = option.iter().map(|byte| format!("{byte:02x}")).collect();
        for (secrets, expected) in [
            (secrets(&old, None), CookieProof::Good),
            (secrets(&old, Some(&new)), CookieProof::Good),
            (secrets(&new, Some(&old)), CookieProof::Good),
            (secrets(&new, None), CookieProof::Wrong),
        ] {
            assert_eq!(check(&secrets, &hex, "::1", 10).0, expected);
        }
    }
}
