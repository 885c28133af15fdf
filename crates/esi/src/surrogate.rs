//! `Surrogate-Control` and `Surrogate-Capability` (Edge Architecture Specification, W3C note 4
//! August 2001, 2.2 and 2.3): how an origin and a surrogate tell each other that a page is to be
//! processed.

/// What an origin tells a surrogate.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SurrogateControl {
    /// What the content must be processed by: names with versions, such as `ESI/1.0`.
    pub content: Vec<String>,
    /// Seconds for which it is fresh, and for which it may be used after that.
    pub max_age: Option<(u64, u64)>,
    /// It may not be kept.
    pub no_store: bool,
    /// It may not be kept by surrogates that are not the origin's own.
    pub no_store_remote: bool,
}

impl SurrogateControl {
    /// Reads the lines of the field, as the device of this name heeds them: a directive that is
    /// for this device (`;name`) replaces the same one that is for all, one for another device
    /// counts for nothing.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>, device: &str) -> Self {
        let (mut all, mut own) = (Directives::default(), Directives::default());
        for line in lines {
            for member in members(line, b',') {
                let mut parameters = members(member, b';');
                let directive = parameters.next().unwrap_or(b"");
                let mut targets = parameters.filter(|parameter| !parameter.is_empty()).peekable();
                if targets.peek().is_none() {
                    all.read(directive);
                } else if targets.any(|target| unquoted(target) == device.as_bytes()) {
                    own.read(directive);
                }
            }
        }
        Self {
            content: own.content.or(all.content).unwrap_or_default(),
            max_age: own.max_age.or(all.max_age),
            no_store: own.no_store || all.no_store,
            no_store_remote: own.no_store_remote || all.no_store_remote,
        }
    }

    /// Whether the content is to be processed as ESI of a version that this crate speaks: 1.0, or
    /// one before it.
    pub fn wants_esi(&self) -> bool {
        self.content.iter().any(|content| speaks(content.as_bytes()))
    }
}

#[derive(Default)]
struct Directives {
    content: Option<Vec<String>>,
    max_age: Option<(u64, u64)>,
    no_store: bool,
    no_store_remote: bool,
}

impl Directives {
    fn read(&mut self, directive: &[u8]) {
        let at = memchr::memchr(b'=', directive).unwrap_or(directive.len());
        let name = directive[..at].trim_ascii();
        let value = unquoted(directive.get(at + 1..).unwrap_or(b"").trim_ascii());
        if name.eq_ignore_ascii_case(b"no-store") {
            self.no_store = true;
        } else if name.eq_ignore_ascii_case(b"no-store-remote") {
            self.no_store_remote = true;
        } else if name.eq_ignore_ascii_case(b"max-age") {
            self.max_age = self.max_age.or_else(|| max_age(value));
        } else if name.eq_ignore_ascii_case(b"content") {
            let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let words = words.map(|word| String::from_utf8_lossy(word).into_owned());
            self.content.get_or_insert_default().extend(words.take(CONTENT_MAX));
        }
    }
}

/// Names of `content` that are kept of one directive.
const CONTENT_MAX: usize = 16;

/// `600`, or `600+300`: fresh, and usable after that.
fn max_age(value: &[u8]) -> Option<(u64, u64)> {
    let value = std::str::from_utf8(value).ok()?;
    let (fresh, more) = value.split_once('+').unwrap_or((value, "0"));
    Some((fresh.trim().parse().ok()?, more.trim().parse().ok()?))
}

/// Whether this is a version of ESI that this crate speaks.
fn speaks(capability: &[u8]) -> bool {
    let Some(version) = std::str::from_utf8(capability).ok().and_then(|c| c.strip_prefix("ESI/"))
    else {
        return false;
    };
    let Some((major, minor)) = version.split_once('.') else { return version == "1" };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number(minor) && (major == "0" || major == "1" && minor.bytes().all(|byte| byte == b'0'))
}

/// Whether a line of `Surrogate-Capability` says that ESI/1.0 is spoken.
pub fn capability_has_esi(line: &[u8]) -> bool {
    members(line, b',').any(|member| {
        let at = memchr::memchr(b'=', member).map_or(member.len(), |at| at + 1);
        let value = unquoted(member[at..].trim_ascii());
        value.split(u8::is_ascii_whitespace).any(|word| word == b"ESI/1.0")
    })
}

/// The member of `Surrogate-Capability` that a device of this name adds to those there are.
pub fn capability(device: &str) -> String {
    format!("{device}=\"Surrogate/1.0 ESI/1.0\"")
}

/// The members between separators that are not within quotes, trimmed.
fn members(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == separator && !quoted
    })
    .map(<[u8]>::trim_ascii)
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}
