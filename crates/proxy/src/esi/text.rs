//! The text of a page as it comes: kept as a template, or read while it arrives.

use super::{kept, limits};
use crate::body::Source;
use crate::decode::Decoder;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::What;
use crate::slice_reader::SliceReader;
use bytes::Bytes;
use http::{HeaderMap, header};
use selvedge_esi::{Evaluator, Node, Parser, Piece, Template};
use selvedge_net::BodyError;
use selvedge_store::{Head, Object};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Larger pages are read each time they are asked for.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// What may come out of a coding, of a page or a fragment.
pub(super) const DECODED_BYTES_MAX: usize = 16 << 20;

/// Bytes of a page that is read while it comes which one block may hold.
const HELD_BYTES_MAX: usize = 8 << 20;

/// The word for a page with a block that has no end in sight.
const BLOCK: BodyError = BodyError::Aborted("esi-block-too-large");

/// The text of a page.
pub(crate) enum Text {
    /// Read before: the template, and how many of its nodes were taken.
    Kept(Arc<Template>, usize),
    /// Read now.
    Live(Box<Live>),
    /// None left, or none at all.
    Ended,
    /// A stored page that is known to have no tags.
    Plain(What),
}

/// A page that is read while it comes.
pub(crate) struct Live {
    bytes: Flow,
    parser: Parser,
    nodes: Vec<Node>,
    /// Bytes read since the last node was complete: what a block without an end may hold.
    held_bytes: usize,
}

/// The bytes of a response, its coding taken off.
pub(crate) struct Flow {
    source: Source,
    decoder: Option<Decoder>,
    ended: bool,
}

/// The word for a body whose coding is broken, or holds more than it may.
pub(super) const CODING: BodyError = BodyError::Aborted("esi-coding");

impl Text {
    /// The text of a page that was found.
    pub(super) fn of(core: &Rc<Core>, ask: &Rc<Ask>, what: What) -> Result<Self, BodyError> {
        if let What::Object(object) = &what
            && let Some(template) = template(object)
        {
            return Ok(match template.is_plain() {
                true => Self::Plain(what),
                false => Self::Kept(template, 0),
            });
        }
        let bytes = Flow::of(core, ask, what)?;
        let (parser, nodes) = (Parser::new(limits()), Vec::new());
        Ok(Self::Live(Box::new(Live { bytes, parser, nodes, held_bytes: 0 })))
    }

    /// Evaluates what comes next. False: nothing does.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        evaluator: &mut Evaluator<'_>,
        pieces: &mut Vec<Piece>,
        faults: impl FnOnce(&selvedge_esi::Faults),
    ) -> Poll<Result<bool, BodyError>> {
        match self {
            Self::Kept(template, next) => {
                let Some(node) = template.nodes().get(*next) else {
                    faults(template.faults());
                    *self = Self::Ended;
                    return Poll::Ready(Ok(false));
                };
                *next += 1;
                evaluator.eval(node, pieces);
            }
            Self::Live(live) => {
                let Live { bytes, parser, nodes, held_bytes } = &mut **live;
                let ended = match ready!(bytes.poll(cx)) {
                    Some(Ok(bytes)) => {
                        *held_bytes += bytes.len();
                        parser.push(bytes, nodes);
                        if !nodes.is_empty() {
                            *held_bytes = 0;
                        } else if *held_bytes > HELD_BYTES_MAX {
                            return Poll::Ready(Err(BLOCK));
                        }
                        false
                    }
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => {
                        faults(&parser.finish(nodes));
                        true
                    }
                };
                for node in nodes.drain(..) {
                    evaluator.eval(&node, pieces);
                }
                if ended {
                    *self = Self::Ended;
                    return Poll::Ready(Ok(false));
                }
            }
            Self::Ended | Self::Plain(_) => return Poll::Ready(Ok(false)),
        }
        Poll::Ready(Ok(true))
    }
}

/// The template of a stored page, made once; `None` if it is too large to be kept, not here as a
/// whole, or broken.
fn template(object: &Object) -> Option<Arc<Template>> {
    let bytes = usize::try_from(object.body.len()).ok()?;
    if object.body.sliced().is_some() || bytes > KEPT_BYTES_MAX {
        return None;
    }
    let made = || match object.headers.first("content-encoding") {
        None => Some(Arc::new(Template::parse(object.body.all(), limits()))),
        Some(coding) => {
            let mut decoder = Decoder::new(coding, KEPT_BYTES_MAX)?;
            let mut text = Vec::new();
            for bytes in object.body.all() {
                text.append(&mut decoder.push(&bytes).ok()?);
            }
            text.append(&mut decoder.finish().ok()?);
            Some(Arc::new(Template::parse([Bytes::from(text)], limits())))
        }
    };
    kept(object)?.template.get_or_init(made).clone()
}

impl Flow {
    /// The bytes of a response that was found.
    pub(super) fn of(core: &Rc<Core>, ask: &Rc<Ask>, what: What) -> Result<Self, BodyError> {
        let coding = |headers: &HeaderMap| headers.get(header::CONTENT_ENCODING).cloned();
        let of_head = |head: &Head| coding(&head.headers);
        let (source, coding) = match what {
            What::Object(object) => {
                let coding = object
                    .headers
                    .first("content-encoding")
                    .and_then(|coding| http::HeaderValue::from_bytes(coding).ok());
                let all = 0..object.body.len();
                let source = match SliceReader::new(core, ask, &object, all) {
                    Some(reader) => Source::Sliced(Box::new(reader), None),
                    None => Source::Slices(object.body.all()),
                };
                (source, coding)
            }
            What::Sliced(reader) => {
                let coding = of_head(&reader.object().head);
                let all = 0..reader.object().body.len();
                (Source::Sliced(Box::new(reader.of(all)), None), coding)
            }
            What::Fill(reader, head) => (Source::fill(reader, 0, head.length), of_head(&head)),
            What::Passed(passing) => {
                let (response, in_flight) = *passing;
                let (head, body) = response.into_parts();
                (Source::Upstream(Box::new((body, in_flight))), coding(&head.headers))
            }
            What::Part(..) | What::Own(_) | What::Switch(_) | What::Page(_) => {
                (Source::Empty, None)
            }
        };
        let decoder = match coding {
            None => None,
            Some(coding) => Some(Decoder::new(coding.as_bytes(), DECODED_BYTES_MAX).ok_or(CODING)?),
        };
        Ok(Self { source, decoder, ended: false })
    }

    /// The next bytes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        while !self.ended {
            let bytes = match ready!(self.source.poll(cx)) {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    let Some(decoder) = self.decoder.take() else { break };
                    match decoder.finish() {
                        Ok(bytes) if bytes.is_empty() => break,
                        Ok(bytes) => return Poll::Ready(Some(Ok(bytes.into()))),
                        Err(_) => return Poll::Ready(Some(Err(CODING))),
                    }
                }
            };
            let bytes = match &mut self.decoder {
                None => bytes,
                Some(decoder) => match decoder.push(&bytes) {
                    Ok(bytes) => bytes.into(),
                    Err(_) => {
                        self.ended = true;
                        return Poll::Ready(Some(Err(CODING)));
                    }
                },
            };
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
        Poll::Ready(None)
    }
}
