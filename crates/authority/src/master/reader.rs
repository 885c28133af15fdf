//! Reads entries into a zone: directives, and what stands before the data of a record.

use std::collections::HashMap;
use std::sync::Arc;

use super::generate::{Range, Template};
use super::scanner::{Entry, Scanner};
use super::{FAULTS_MAX, Fault, INCLUDES_MAX, Loaded, MasterFile, TEXT_BYTES_MAX};
use crate::kind;
use crate::name::Name;
use crate::rdata::{self, Misread, Place, Token};
use crate::zone::{TTL_MAX, ZoneBuilder, ZoneError};

/// See [`MasterFile::read`].
pub(super) fn read(
    master: &MasterFile<'_>,
    include: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Loaded, Vec<Fault>> {
    read_within(TEXT_BYTES_MAX, master, include)
}

/// The same with another bound for the text.
pub(super) fn read_within(
    bytes_max: usize,
    master: &MasterFile<'_>,
    include: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Loaded, Vec<Fault>> {
    let mut reader = Reader {
        builder: ZoneBuilder::new(master.apex.clone(), master.has_sites),
        include,
        faults: Vec::new(),
        spots: HashMap::new(),
        bytes_left: bytes_max,
    };
    let file: Arc<str> = master.file.into();
    let mut cx = Context {
        file: file.clone(),
        origin: master.apex.clone(),
        owner: Owner::None,
        ttl_default: None,
        ttl_last: None,
        depth: 0,
    };
    reader.file(master.bytes, &mut cx);
    reader.finish(file)
}

struct Reader<'run> {
    builder: ZoneBuilder,
    include: &'run mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    faults: Vec<Fault>,
    /// Where the first record of each name and type stands.
    spots: HashMap<Name, Vec<Spot>>,
    bytes_left: usize,
}

/// Where something stands.
struct Spot {
    /// `None`: a SITE.
    kind: Option<u16>,
    file: Arc<str>,
    place: Place,
}

/// What an entry does not say itself. Each file has its own: nothing that an included file sets is
/// kept when the one around it goes on.
#[derive(Clone)]
struct Context {
    file: Arc<str>,
    origin: Name,
    owner: Owner,
    /// By `$TTL`.
    ttl_default: Option<u32>,
    /// By the last record that said its own.
    ttl_last: Option<u32>,
    depth: usize,
}

/// Whose the records are whose line begins with a space.
#[derive(Clone)]
enum Owner {
    /// No record was there yet.
    None,
    /// The last owner was no name, which has been told.
    Misread,
    Name(Name),
}

/// What stands before the data of a record.
struct Head<'entry, 'file> {
    ttl: Option<u32>,
    ttl_at: Option<Place>,
    kind: &'entry Token<'file>,
    data: &'entry [Token<'file>],
}

impl Reader<'_> {
    fn file(&mut self, bytes: &[u8], cx: &mut Context) {
        let start = Place { line: 1, column: 1 };
        if let Err(what) = self.spend(bytes.len()) {
            return self.fault(cx, Misread { place: start, what });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // All before the first byte that is no UTF-8 is read: faults there are worth telling too.
        let (text, is_whole) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, true),
            Err(error) => {
                let sound = &bytes[..error.valid_up_to()];
                (std::str::from_utf8(sound).unwrap_or_default(), false)
            }
        };
        if !is_whole {
            let line = text.matches('\n').count() as u32 + 1;
            let before = text.rsplit('\n').next().unwrap_or_default();
            let place = Place { line, column: before.chars().count() as u32 + 1 };
            let what = "write this byte as \\DDD, or the file in UTF-8".to_owned();
            self.fault(cx, Misread { place, what });
        }
        let mut scanner = Scanner::new(text);
        while self.faults.len() < FAULTS_MAX {
            match scanner.next_entry() {
                None => break,
                Some(Err(fault)) => self.fault(cx, fault),
                Some(Ok(entry)) => {
                    if let Err(fault) = self.entry(&entry, cx) {
                        self.fault(cx, fault);
                    }
                }
            }
        }
    }

    fn entry(&mut self, entry: &Entry<'_>, cx: &mut Context) -> Result<(), Misread> {
        let first = entry.tokens[0];
        if entry.begins_blank || first.is_quoted || !first.text.starts_with('$') {
            return self.record(&entry.tokens, entry.begins_blank, entry.end, cx);
        }
        let arguments = &entry.tokens[1..];
        match first.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => {
                let [origin] = exactly(arguments, entry.end, "the origin")?;
                cx.origin = rdata::name(origin, &cx.origin)?;
                Ok(())
            }
            "$TTL" => {
                let [ttl] = exactly(arguments, entry.end, "a time like 1h")?;
                cx.ttl_default = Some(read_ttl(ttl)?);
                Ok(())
            }
            "$INCLUDE" => self.include(arguments, entry.end, cx),
            "$GENERATE" => self.generate(arguments, entry.end, cx),
            _ => Err(first.wanted("$ORIGIN, $TTL, $INCLUDE or $GENERATE")),
        }
    }

    /// `$INCLUDE file [origin]`
    fn include(
        &mut self,
        arguments: &[Token<'_>],
        end: Place,
        cx: &Context,
    ) -> Result<(), Misread> {
        let (file, origin) = match arguments {
            [file] => (file, cx.origin.clone()),
            [file, origin] => (file, rdata::name(origin, &cx.origin)?),
            [_, _, other, ..] => return Err(other.fault("delete this: the line has all")),
            [] => return Err(Misread { place: end, what: "add the file to include".to_owned() }),
        };
        if cx.depth == INCLUDES_MAX {
            let what = format!("delete this: files are included {INCLUDES_MAX} deep at most");
            return Err(file.fault(what));
        }
        let path = file.bytes().and_then(|bytes| String::from_utf8(bytes).ok());
        let path = path.ok_or_else(|| file.wanted("the path of a file"))?;
        let bytes = (self.include)(&path)
            .map_err(|why| file.fault(format!("include a file that can be read: {why}")))?;
        let mut inner =
            Context { file: path.as_str().into(), origin, depth: cx.depth + 1, ..cx.clone() };
        self.file(&bytes, &mut inner);
        Ok(())
    }

    /// `$GENERATE range owner [ttl] [class] type data`
    fn generate(
        &mut self,
        arguments: &[Token<'_>],
        end: Place,
        cx: &mut Context,
    ) -> Result<(), Misread> {
        let missing = || Misread { place: end, what: "add a range, and a record".to_owned() };
        let (range_token, record) = arguments.split_first().ok_or_else(missing)?;
        let range = Range::from_token(range_token)?;
        let (_, rest) = record.split_first().ok_or_else(missing)?;
        let quoted = match head(rest, end)?.data {
            [token] if token.is_quoted => Some((token, token.text.replace("\\\"", "\""))),
            _ => None,
        };
        let record = &match &quoted {
            Some((token, text)) => unquoted(record, token, text)?,
            None => record.to_vec(),
        };
        let templates: Vec<_> =
            record.iter().map(Template::from_token).collect::<Result<_, _>>()?;
        for number in range.numbers() {
            let mut texts = Vec::with_capacity(templates.len());
            for (template, token) in templates.iter().zip(record) {
                let text = template.fill(number);
                texts.push(text.ok_or_else(|| token.fault("an offset leads below zero"))?);
            }
            // An empty text costs a little too.
            let bytes = texts.iter().map(|text| text.len() + 1).sum();
            self.spend(bytes).map_err(|what| range_token.fault(what))?;
            let filled = |(text, token): (_, &Token<'_>)| Token { text, ..*token };
            let texts = texts.iter().map(String::as_str);
            let tokens: Vec<_> = texts.zip(record).map(filled).collect();
            // What is wrong with one is wrong with all, more often than not.
            self.record(&tokens, false, end, cx)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        tokens: &[Token<'_>],
        begins_blank: bool,
        end: Place,
        cx: &mut Context,
    ) -> Result<(), Misread> {
        let (owner, rest) = match tokens.split_first() {
            Some((first, rest)) if !begins_blank => {
                cx.owner = Owner::Misread;
                cx.owner = Owner::Name(rdata::name(first, &cx.origin)?);
                (first, rest)
            }
            Some((first, _)) => (first, tokens),
            None => return Err(Misread { place: end, what: "add a record".to_owned() }),
        };
        let head = head(rest, end)?;
        if head.ttl.is_some() {
            cx.ttl_last = head.ttl;
        }
        let name = match &cx.owner {
            Owner::Name(name) => Some(name.clone()),
            Owner::Misread => None,
            Owner::None => return Err(owner.fault("write a name before the first record")),
        };
        if head.kind.text.eq_ignore_ascii_case("SITE") {
            return self.site(&head, name, end, cx);
        }
        let kind = kind::from_text(head.kind.text).ok_or_else(|| head.kind.wanted("a type"))?;
        if kind::is_meta(kind) {
            return Err(head.kind.fault("delete this: the type stands in no zone"));
        }
        let ttl = head.ttl.or(cx.ttl_default).or(cx.ttl_last);
        let ttl = ttl.ok_or_else(|| {
            head.kind.fault("write a time to live before the type, or $TTL before the record")
        })?;
        let data = rdata::from_text(kind, head.data, &cx.origin, end)?;
        let Some(name) = name else { return Ok(()) };
        self.builder
            .add(&name, kind, ttl, &data)
            .map_err(|error| head.kind.fault(describe(&error)))?;
        self.remember(name, Some(kind), head.kind.place, cx);
        Ok(())
    }

    /// `[name] SITE site`
    fn site(
        &mut self,
        head: &Head<'_, '_>,
        name: Option<Name>,
        end: Place,
        cx: &Context,
    ) -> Result<(), Misread> {
        let [site] = exactly(head.data, end, "the name of a site")?;
        if let Some(place) = head.ttl_at {
            let what = "delete this: how long a site's addresses live, the site says".to_owned();
            return Err(Misread { place, what });
        }
        let Some(name) = name else { return Ok(()) };
        self.builder.add_site(&name, site.text).map_err(|error| site.fault(describe(&error)))?;
        self.remember(name, None, head.kind.place, cx);
        Ok(())
    }

    fn remember(&mut self, name: Name, kind: Option<u16>, place: Place, cx: &Context) {
        let spots = self.spots.entry(name).or_default();
        if !spots.iter().any(|spot| spot.kind == kind) {
            spots.push(Spot { kind, file: cx.file.clone(), place });
        }
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes)
            .ok_or_else(|| "divide the zone: its text has too many bytes".to_owned())?;
        Ok(())
    }

    fn fault(&mut self, cx: &Context, Misread { place, what }: Misread) {
        if self.faults.len() < FAULTS_MAX {
            let Place { line, column } = place;
            self.faults.push(Fault { file: cx.file.clone(), line, column, what });
        }
    }

    /// The zone as a whole is looked at only if every record was read: else what is missing in it
    /// may be what was not.
    fn finish(self, file: Arc<str>) -> Result<Loaded, Vec<Fault>> {
        if !self.faults.is_empty() {
            return Err(self.faults);
        }
        let spots = self.spots;
        let fault = |error: &ZoneError| {
            let of_name = spots.get(&error.name).map(Vec::as_slice).unwrap_or_default();
            let of_kind = of_name.iter().find(|spot| spot.kind == error.kind);
            let (file, place) = match of_kind.or_else(|| of_name.first()) {
                Some(spot) => (spot.file.clone(), spot.place),
                None => (file.clone(), Place { line: 1, column: 1 }),
            };
            let what = format!("{}: {}", error.name, error.what);
            Fault { file, line: place.line, column: place.column, what }
        };
        let zone = self.builder.finish();
        let zone = zone.map_err(|errors| errors.iter().map(fault).collect::<Vec<_>>())?;
        let warnings = zone.warnings().iter().map(fault).collect();
        Ok(Loaded { zone, warnings })
    }
}

/// The tokens of a record whose last is quotes around all of its data, without those quotes.
fn unquoted<'text>(
    record: &[Token<'text>],
    quoted: &Token<'_>,
    text: &'text str,
) -> Result<Vec<Token<'text>>, Misread> {
    let mut tokens = record[..record.len() - 1].to_vec();
    match Scanner::new(text).next_entry() {
        Some(Ok(entry)) => {
            tokens.extend(entry.tokens.iter().map(|token| Token { place: quoted.place, ..*token }));
        }
        Some(Err(misread)) => return Err(quoted.fault(misread.what)),
        None => {}
    }
    Ok(tokens)
}

/// Takes the time to live and the class, in either order, off a record without its owner.
fn head<'entry, 'file>(
    tokens: &'entry [Token<'file>],
    end: Place,
) -> Result<Head<'entry, 'file>, Misread> {
    let (mut ttl, mut class, mut ttl_at) = (None, None, None);
    let mut rest = tokens;
    while let Some((token, data)) = rest.split_first() {
        if token.text.starts_with(|first: char| first.is_ascii_digit()) && !token.is_quoted {
            if ttl.is_some() {
                return Err(token.wanted("a type, after one time to live"));
            }
            (ttl, ttl_at) = (Some(read_ttl(token)?), Some(token.place));
        } else if let Some(is_internet) = class_of(token.text) {
            if !is_internet {
                return Err(token.wanted("IN, which is the only class"));
            }
            if class.replace(()).is_some() {
                return Err(token.wanted("a type, after one class"));
            }
        } else {
            return Ok(Head { ttl, ttl_at, kind: token, data });
        }
        rest = data;
    }
    Err(Misread { place: end, what: "add a type: the record ends early".to_owned() })
}

/// Whether a class is IN; `None`: the text is no class.
fn class_of(text: &str) -> Option<bool> {
    match text.to_ascii_uppercase().as_str() {
        "IN" | "CLASS1" => Some(true),
        "CH" | "HS" | "CS" => Some(false),
        other => {
            let digits = other.strip_prefix("CLASS")?;
            digits.parse::<u16>().ok().map(|_| false)
        }
    }
}

fn read_ttl(token: &Token<'_>) -> Result<u32, Misread> {
    let ttl = rdata::seconds(token.text).filter(|ttl| *ttl <= TTL_MAX);
    ttl.ok_or_else(|| token.wanted("seconds up to 2147483647, or a time like 1h30m"))
}

/// The arguments, if they are so many.
fn exactly<'entry, 'file, const COUNT: usize>(
    tokens: &'entry [Token<'file>],
    end: Place,
    wanted: &str,
) -> Result<&'entry [Token<'file>; COUNT], Misread> {
    tokens.try_into().map_err(|_| match tokens.get(COUNT) {
        Some(other) => other.fault("delete this: the line has all"),
        None => Misread { place: end, what: format!("add {wanted}") },
    })
}

fn describe(error: &ZoneError) -> String {
    format!("{}: {}", error.name, error.what)
}
