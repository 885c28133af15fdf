//! The elements of an MPD, by events: a stack of what is open, and where each element may be.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader as Xml, XmlVersion};

use super::addressing::{Addressing, Entry, Form, ListedUrl};
use super::element::Element;
use super::{AdaptationSet, Mpd, Period, Representation};
use crate::limits::Limits;
use crate::time::{DURATION_MAX, UnixMs, date, duration, integer, seconds};
use crate::track::ByteRange;
use crate::unreadable::Unreadable;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Mpd, Unreadable> {
    let mut xml = Xml::from_str(text);
    let mut reader = Reader::new(limits);
    let mut events = limits.lines_max;
    loop {
        let event = xml.read_event().map_err(|_| Unreadable::Xml)?;
        events = events.checked_sub(1).ok_or(Unreadable::TooManyLines)?;
        match event {
            Event::Start(tag) => reader.open(&tag)?,
            Event::Empty(tag) => {
                reader.open(&tag)?;
                reader.close()?;
            }
            Event::End(_) => reader.close()?,
            Event::Text(text) => reader.text(&text)?,
            Event::CData(text) => reader.text(&text)?,
            Event::GeneralRef(name) => {
                let known = PREDEFINED.iter().find(|(known, _)| *known == &*name);
                match known {
                    Some((_, text)) => reader.text(text)?,
                    None => {
                        let char = name.resolve_char_ref().map_err(|_| Unreadable::Xml)?;
                        let char = char.ok_or(Unreadable::Entity)?;
                        reader.text(char.encode_utf8(&mut [0; 4]))?;
                    }
                }
            }
            Event::DocType(_) => return Err(Unreadable::Entity),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    match (reader.seen_root, reader.open.is_empty()) {
        (false, _) => Err(Unreadable::NotManifest),
        (true, false) => Err(Unreadable::Xml),
        (true, true) => Ok(reader.mpd),
    }
}

struct Reader<'l> {
    limits: &'l Limits,
    mpd: Mpd,
    seen_root: bool,
    open: Vec<Element>,
    text: String,
    /// What period, set and representation say of their segments, as far as they are open.
    addressing: Vec<Addressing>,
    timeline: Vec<Entry>,
    urls: Vec<ListedUrl>,
    /// Entries of timelines and lists so far.
    entries: usize,
    /// Periods, sets and representations so far.
    variants: usize,
}

impl<'l> Reader<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            mpd: Mpd::default(),
            seen_root: false,
            open: Vec::new(),
            text: String::new(),
            addressing: Vec::new(),
            timeline: Vec::new(),
            urls: Vec::new(),
            entries: 0,
            variants: 0,
        }
    }

    fn open(&mut self, tag: &BytesStart<'_>) -> Result<(), Unreadable> {
        if tag.len() > self.limits.line_bytes_max {
            return Err(Unreadable::LineTooLong);
        }
        if self.open.len() == self.limits.depth_max {
            return Err(Unreadable::TooDeep);
        }
        let element = Element::of(self.open.last().copied(), tag.local_name().as_ref());
        if self.open.is_empty() && (self.seen_root || element != Element::Mpd) {
            return Err(Unreadable::NotManifest);
        }
        self.seen_root = true;
        self.open.push(element);
        self.text.clear();
        self.begin(element)?;
        let mut count = 0;
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|_| Unreadable::Xml)?;
            count += 1;
            if count > self.limits.attributes_max {
                return Err(Unreadable::TooManyAttributes);
            }
            let name = attribute.key.into_inner();
            if element == Element::Other || name.contains(':') || !attribute.value.is_ascii() {
                continue;
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            self.attribute(element, name, value.map_err(|_| Unreadable::Entity)?)?;
        }
        match element {
            Element::Entry if self.timeline.last().is_some_and(|entry| entry.duration == 0) => {
                Err(Unreadable::Missing)
            }
            _ => Ok(()),
        }
    }

    /// Makes room for an element that is beginning.
    fn begin(&mut self, element: Element) -> Result<(), Unreadable> {
        match element {
            Element::Period | Element::Set | Element::Representation => {
                self.variants += 1;
                if self.variants > self.limits.variants_max {
                    return Err(Unreadable::TooManyVariants);
                }
                self.addressing.push(self.addressing.last().cloned().unwrap_or_default());
            }
            Element::Entry | Element::ListedUrl => {
                self.entries += 1;
                if self.entries > self.limits.segments_max {
                    return Err(Unreadable::TooManySegments);
                }
            }
            _ => {}
        }
        match element {
            Element::Period => self.mpd.periods.push(Period::default()),
            Element::Set => self.period()?.sets.push(AdaptationSet::default()),
            Element::Representation => {
                self.set()?.representations.push(Representation::default());
            }
            Element::Entry => self.timeline.push(Entry { time: None, duration: 0, repeat: 0 }),
            Element::ListedUrl => self.urls.push(ListedUrl { media: None, range: None }),
            Element::Timeline => self.timeline.clear(),
            Element::Template => self.addressing()?.form = Form::Template,
            Element::List => {
                self.addressing()?.form = Form::List;
                self.urls.clear();
            }
            Element::Base => self.addressing()?.form = Form::Base,
            _ => {}
        }
        Ok(())
    }

    fn attribute(
        &mut self,
        element: Element,
        name: &str,
        value: Cow<'_, str>,
    ) -> Result<(), Unreadable> {
        let value = value.trim();
        match element {
            Element::Mpd => self.mpd_attribute(name, value),
            Element::Period => {
                let period = self.period()?;
                match name {
                    "id" => period.id = Some(value.into()),
                    "start" => (period.start, period.has_start) = (time(value)?, true),
                    "duration" => period.duration = Some(time(value)?),
                    _ => {}
                }
                Ok(())
            }
            Element::Set => {
                let set = self.set()?;
                match name {
                    "mimeType" => set.mime = Some(value.into()),
                    "contentType" => set.content_type = Some(value.into()),
                    _ => {}
                }
                Ok(())
            }
            Element::Representation => {
                let one = self.representation()?;
                match name {
                    "id" => one.id = value.into(),
                    "bandwidth" => one.bandwidth_bps = number(value)?,
                    "mimeType" => one.mime = Some(value.into()),
                    "codecs" => one.codecs = Some(value.into()),
                    _ => {}
                }
                Ok(())
            }
            Element::Template | Element::List | Element::Base | Element::Initialization => {
                self.addressing_attribute(name, value)
            }
            Element::Entry => {
                let entry = self.timeline.last_mut().ok_or(Unreadable::Misplaced)?;
                match name {
                    "t" => entry.time = Some(number(value)?),
                    "d" => entry.duration = number(value)?,
                    "r" => entry.repeat = value.parse().map_err(|_| Unreadable::Number)?,
                    _ => {}
                }
                Ok(())
            }
            Element::ListedUrl => {
                let url = self.urls.last_mut().ok_or(Unreadable::Misplaced)?;
                match name {
                    "media" => url.media = Some(value.into()),
                    "mediaRange" => url.range = Some(range(value)?),
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn mpd_attribute(&mut self, name: &str, value: &str) -> Result<(), Unreadable> {
        let mpd = &mut self.mpd;
        match name {
            "type" => mpd.is_dynamic = value == "dynamic",
            "minimumUpdatePeriod" => mpd.minimum_update = Some(time(value)?),
            "availabilityStartTime" => mpd.availability_start = Some(instant(value)?),
            "availabilityEndTime" => mpd.availability_end = Some(instant(value)?),
            "publishTime" => mpd.publish_time = Some(instant(value)?),
            "mediaPresentationDuration" => mpd.duration = Some(time(value)?),
            "timeShiftBufferDepth" => mpd.time_shift_depth = Some(time(value)?),
            "suggestedPresentationDelay" => mpd.suggested_delay = Some(time(value)?),
            "maxSegmentDuration" => mpd.max_segment = Some(time(value)?),
            _ => {}
        }
        Ok(())
    }

    fn addressing_attribute(&mut self, name: &str, value: &str) -> Result<(), Unreadable> {
        let to = self.addressing()?;
        match name {
            "timescale" => {
                to.timescale = number(value)?;
                if to.timescale == 0 {
                    return Err(Unreadable::Number);
                }
            }
            "duration" => to.duration = Some(number(value)?),
            "startNumber" => to.start_number = number(value)?,
            "endNumber" => to.end_number = Some(number(value)?),
            "presentationTimeOffset" => to.presentation_offset = number(value)?,
            "availabilityTimeOffset" => {
                to.availability_offset = match value {
                    "INF" => DURATION_MAX,
                    value => seconds(value).ok_or(Unreadable::Number)?,
                };
            }
            "availabilityTimeComplete" => to.is_available_complete = value != "false",
            "media" => to.media = Some(value.into()),
            "initialization" | "sourceURL" => to.initialization = Some(value.into()),
            "range" => to.initialization_range = Some(range(value)?),
            "indexRange" => to.index_range = Some(range(value)?),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        if !matches!(self.open.last(), Some(Element::BaseUrl | Element::Location)) {
            // Text outside of the root is not XML.
            let stray = self.open.is_empty() && !text.trim().is_empty();
            return if stray { Err(Unreadable::Xml) } else { Ok(()) };
        }
        self.text.push_str(text);
        let fits = self.text.len() <= self.limits.line_bytes_max;
        if fits { Ok(()) } else { Err(Unreadable::LineTooLong) }
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        match self.open.pop().ok_or(Unreadable::Xml)? {
            Element::BaseUrl => {
                let url = self.text.trim().into();
                // The first of several: the others are for when it fails (5.6.5).
                match self.open.last() {
                    Some(Element::Mpd) => self.mpd.base_url.get_or_insert(url),
                    Some(Element::Period) => self.period()?.base_url.get_or_insert(url),
                    Some(Element::Set) => self.set()?.base_url.get_or_insert(url),
                    _ => self.representation()?.base_url.get_or_insert(url),
                };
            }
            Element::Location => {
                self.mpd.location.get_or_insert_with(|| self.text.trim().into());
            }
            Element::Timeline => {
                let timeline = std::mem::take(&mut self.timeline);
                self.addressing()?.timeline = Some(Arc::from(timeline));
            }
            Element::List if !self.urls.is_empty() => {
                let urls = std::mem::take(&mut self.urls);
                self.addressing()?.urls = Arc::from(urls);
            }
            Element::Representation => {
                let addressing = self.addressing.pop().ok_or(Unreadable::Misplaced)?;
                self.representation()?.addressing = addressing;
            }
            Element::Set | Element::Period => {
                self.addressing.pop();
            }
            _ => {}
        }
        self.text.clear();
        Ok(())
    }

    fn addressing(&mut self) -> Result<&mut Addressing, Unreadable> {
        self.addressing.last_mut().ok_or(Unreadable::Misplaced)
    }

    fn period(&mut self) -> Result<&mut Period, Unreadable> {
        self.mpd.periods.last_mut().ok_or(Unreadable::Misplaced)
    }

    fn set(&mut self) -> Result<&mut AdaptationSet, Unreadable> {
        self.period()?.sets.last_mut().ok_or(Unreadable::Misplaced)
    }

    fn representation(&mut self) -> Result<&mut Representation, Unreadable> {
        self.set()?.representations.last_mut().ok_or(Unreadable::Misplaced)
    }
}

fn number(text: &str) -> Result<u64, Unreadable> {
    integer(text).ok_or(Unreadable::Number)
}

fn time(text: &str) -> Result<Duration, Unreadable> {
    duration(text).ok_or(Unreadable::Time)
}

fn instant(text: &str) -> Result<UnixMs, Unreadable> {
    date(text).ok_or(Unreadable::Time)
}

/// `first-last`, both inclusive (5.3.9.2.2); without the last to the end.
fn range(text: &str) -> Result<ByteRange, Unreadable> {
    let (first, last) = text.split_once('-').ok_or(Unreadable::ByteRange)?;
    let start = number(first)?;
    if last.is_empty() {
        return Ok(ByteRange { start, length: None });
    }
    let length = number(last)?.checked_sub(start).and_then(|length| length.checked_add(1));
    Ok(ByteRange { start, length: Some(length.ok_or(Unreadable::ByteRange)?) })
}

const PREDEFINED: [(&str, &str); 5] =
    [("amp", "&"), ("lt", "<"), ("gt", ">"), ("quot", "\""), ("apos", "'")];
