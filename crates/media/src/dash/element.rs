//! The elements of an MPD that mean something here, and where each may stand (ISO/IEC 23009-1
//! 5.2.3 and what follows).

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Mpd,
    Period,
    Set,
    Representation,
    BaseUrl,
    Location,
    Template,
    List,
    Base,
    Timeline,
    Entry,
    ListedUrl,
    Initialization,
    Other,
}

impl Element {
    /// What an element is where it stands; what stands within something else is never looked at.
    pub(super) fn of(parent: Option<Self>, name: &str) -> Self {
        use Element::*;
        match (parent, name) {
            (None, "MPD") => Mpd,
            (Some(Mpd), "Period") => Period,
            (Some(Period), "AdaptationSet") => Set,
            (Some(Set), "Representation") => Representation,
            (Some(Mpd | Period | Set | Representation), "BaseURL") => BaseUrl,
            (Some(Mpd), "Location") => Location,
            (Some(Period | Set | Representation), "SegmentTemplate") => Template,
            (Some(Period | Set | Representation), "SegmentList") => List,
            (Some(Period | Set | Representation), "SegmentBase") => Base,
            (Some(Template | List), "SegmentTimeline") => Timeline,
            (Some(Timeline), "S") => Entry,
            (Some(List), "SegmentURL") => ListedUrl,
            (Some(Template | List | Base), "Initialization") => Initialization,
            _ => Other,
        }
    }
}
