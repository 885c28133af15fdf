//! One simulated player: it does what RFC 8216 6.3 has players do, looks at nothing, and notes
//! what it got.

use super::audience::Watched;
use super::name::Name;
use super::wire::{Got, Wire};
use std::io::Result;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A player begins so many segments before the end (RFC 8216 6.3.3).
const BEGIN_SEGMENTS: u64 = 3;
/// It goes to another rendition each so many playlists, some earlier than others.
const SWITCH_PLAYLISTS: usize = 17;
/// Each so many players, one says what it is about to do (CTA-5004).
const SPEAKING: usize = 20;

/// A player.
pub(super) struct Player {
    /// Which one: from it follows what it begins with and when it changes.
    pub(super) number: usize,
    pub(super) renditions: usize,
    pub(super) edge: SocketAddr,
    pub(super) until: Instant,
    pub(super) watched: Arc<Watched>,
}

/// What of a media playlist a player needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    target: Duration,
    first: u64,
    next: u64,
}

/// Where playback is.
struct Playback {
    /// The next segment to ask for.
    next: u64,
    /// What is buffered lasts until then.
    lasts: Option<Instant>,
}

impl Player {
    /// Watches until it is over.
    pub(super) async fn watch(&self) -> Result<()> {
        let mut wire = Wire::connect(self.edge).await?;
        let main = Name::Main.to_string();
        let got = wire.get(HOST, &main, "").await?;
        self.watched.expect(got.status == 200, &main, &got);
        let mut rendition = self.number % self.renditions;
        let mut known: Option<Listed> = None;
        let mut begun = None;
        let mut playback = Playback { next: 0, lasts: None };
        for round in self.number.. {
            let asked = Instant::now();
            if asked >= self.until {
                break;
            }
            let Some(listed) = self.playlist(&mut wire, rendition).await? else { break };
            if known.is_none() {
                playback.next = listed.next.saturating_sub(BEGIN_SEGMENTS);
            }
            if begun.replace(rendition) != Some(rendition) {
                self.segment(&mut wire, Name::Init(rendition)).await?;
            }
            playback.next = playback.next.max(listed.first);
            while playback.next < listed.next {
                let got = self.segment(&mut wire, Name::Segment(rendition, playback.next)).await?;
                playback.has(got.first_byte, listed.target, &self.watched);
                playback.next += 1;
            }
            // RFC 8216 6.3.4: after one target duration, or half of one if nothing was new.
            let pause = if known == Some(listed) { listed.target / 2 } else { listed.target };
            known = Some(listed);
            if round.is_multiple_of(SWITCH_PLAYLISTS) {
                rendition = (rendition + 1) % self.renditions;
            }
            tokio::time::sleep_until((asked + pause).min(self.until).into()).await;
        }
        Ok(())
    }

    async fn playlist(&self, wire: &mut Wire, rendition: usize) -> Result<Option<Listed>> {
        let target = Name::Playlist(rendition).to_string();
        let got = wire.get(HOST, &target, "").await?;
        self.watched.playlist();
        let listed = Listed::read(&String::from_utf8_lossy(&got.body));
        self.watched.expect(got.status == 200 && listed.is_some(), &target, &got);
        Ok(listed)
    }

    /// A segment or an init segment.
    async fn segment(&self, wire: &mut Wire, name: Name) -> Result<Got> {
        let target = name.to_string();
        let fields = match name {
            Name::Segment(_, msn) if self.number.is_multiple_of(SPEAKING) => {
                format!("CMCD-Request: bl=4000,nor=\"s{}.m4s\"\r\n", msn + 1)
            }
            _ => String::new(),
        };
        let asked = Instant::now();
        let got = wire.get(HOST, &target, &fields).await?;
        self.watched.object(name, &got, got.first_byte - asked);
        Ok(got)
    }
}

/// The host that players ask for.
pub(super) const HOST: &str = "www.live.test";

impl Playback {
    fn has(&mut self, at: Instant, length: Duration, watched: &Watched) {
        let lasts = match self.lasts {
            Some(lasts) if lasts < at => {
                watched.stall();
                at
            }
            Some(lasts) => lasts,
            None => at,
        };
        self.lasts = Some(lasts + length);
    }
}

impl Listed {
    fn read(text: &str) -> Option<Self> {
        let value = |tag: &str| text.lines().find_map(|line| line.strip_prefix(tag)?.parse().ok());
        let first: u64 = value("#EXT-X-MEDIA-SEQUENCE:")?;
        let target = Duration::from_secs(value("#EXT-X-TARGETDURATION:")?);
        let count = text.lines().filter(|line| line.starts_with("#EXTINF:")).count();
        Some(Self { target, first, next: first + count as u64 })
    }
}
