//! What a server is told about how to answer, checked once so that answering need not.

use crate::cookie::CookieSecrets;
use crate::subnet::{AddressSet, SubnetTrust};

/// Bytes of an identity (RFC 5001), or of a text in class CH, at most.
const TEXT_BYTES_MAX: usize = 128;
/// What passes every path without fragments (DNS flag day 2020).
pub const UDP_BYTES_DEFAULT: usize = 1232;

/// How to answer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes of a reply over UDP at most, whatever the asker takes; 512 at least.
    pub udp_bytes_max: usize,
    /// What `id.server` and `hostname.bind` say and NSID tells; `None`: nothing.
    pub identity: Option<ServerText>,
    /// What `version.bind` and `version.server` say; `None`: nothing.
    pub version: Option<ServerText>,
    /// Whose word is taken for where a client is.
    pub subnet_trust: SubnetTrust,
    /// What cookies are made with; `None`: cookies are passed over.
    pub cookies: Option<CookieSecrets>,
    /// What becomes of a query over UDP whose cookie proves nothing.
    pub cookie_policy: CookiePolicy,
    /// What the HTTPS records of sites say is spoken there.
    pub alpn: Alpn,
    /// Who may take whole zones.
    pub transfers_to: AddressSet,
}

/// What becomes of a query over UDP with a cookie that proves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookiePolicy {
    /// It is answered, with a good cookie for the next time.
    #[default]
    Offered,
    /// It gets a good cookie and BADCOOKIE, and must come again (RFC 7873 5.2.3).
    Wanted,
}

/// A text of 1 to 128 bytes that a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerText(Box<[u8]>);

/// Protocols, as the key `alpn` lists them (RFC 9460 7.1.1); may be none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alpn(Box<[u8]>);

/// What cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// A text is empty or longer than 128 bytes.
    Text,
    /// A protocol is empty or longer than 255 bytes, or there are too many.
    Alpn,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            udp_bytes_max: UDP_BYTES_DEFAULT,
            identity: None,
            version: None,
            subnet_trust: SubnetTrust::Nobody,
            cookies: None,
            cookie_policy: CookiePolicy::Offered,
            alpn: Alpn::default(),
            transfers_to: AddressSet::default(),
        }
    }
}

impl ServerText {
    /// Takes a text.
    pub fn new(text: &str) -> Result<Self, SettingsError> {
        match text.len() {
            1..=TEXT_BYTES_MAX => Ok(Self(text.as_bytes().into())),
            _ => Err(SettingsError::Text),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Alpn {
    /// Lists protocols, the best first: `["h3", "h2"]`.
    pub fn new<'a>(protocols: impl IntoIterator<Item = &'a str>) -> Result<Self, SettingsError> {
        let mut wire = Vec::new();
        for protocol in protocols {
            let bytes = u8::try_from(protocol.len()).map_err(|_| SettingsError::Alpn)?;
            if bytes == 0 || wire.len() + 1 + protocol.len() > TEXT_BYTES_MAX {
                return Err(SettingsError::Alpn);
            }
            wire.push(bytes);
            wire.extend_from_slice(protocol.as_bytes());
        }
        Ok(Self(wire.into()))
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for SettingsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "a text that a server says about itself has 1 to 128 bytes",
            Self::Alpn => "a protocol has 1 to 255 bytes, and all of them 128 together",
        })
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_listed_with_their_lengths() {
        let alpn = Alpn::new(["h3", "h2", "http/1.1"]).expect("protocols");
        assert_eq!(alpn.as_wire(), b"\x02h3\x02h2\x08http/1.1");
        assert_eq!(Alpn::new([]).map(|alpn| alpn.as_wire().len()), Ok(0));
        assert_eq!(Alpn::new([""]), Err(SettingsError::Alpn));
        assert_eq!(Alpn::new(["h2"; 50]), Err(SettingsError::Alpn));
        assert_eq!(Alpn::new(["x".repeat(256).as_str()]), Err(SettingsError::Alpn));
    }

    #[test]
    fn a_text_has_1_to_128_bytes() {
        assert!(ServerText::new("a").is_ok() && ServerText::new(&"a".repeat(128)).is_ok());
        assert_eq!(ServerText::new(""), Err(SettingsError::Text));
        assert_eq!(ServerText::new(&"a".repeat(129)), Err(SettingsError::Text));
    }
}
