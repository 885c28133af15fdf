//! Pages that are assembled here from fragments (Edge Side Includes; the language is the crate
//! `esi`, which is pure). This is the step between what was found for a request and its delivery:
//!
//! ```text
//! found -> wanted? -- no --> transform -> deliver
//!            `- yes -> text -> evaluate -> line of text and fragments -> deliver
//!                       ^                      |  each fragment is a request that goes through
//!                       `--- next nodes -------'  `request::answer` again, bounded in number
//! ```
//!
//! What it must never do: send a byte out of order, ask a server that the site does not allow, keep
//! more of a page than a fixed number of bytes, or let what was put in for a variable be read as
//! markup.

mod assembly;
mod compile;
mod fragment;
mod head;
mod outflow;
mod rules;
mod text;
mod trace;
mod visitor;

pub(crate) use compile::compile;
pub(crate) use outflow::Outflow;
pub(crate) use rules::{Part, Rules};

use crate::fetch;
use crate::ledger::Ledger;
use crate::node::Core;
use crate::normalize::Ask;
use crate::request::{self, Served, What};
use crate::rescue::Failure;
use assembly::{Assembly, Lineage, Page};
use head::{Life, Whole};
use http::{Method, StatusCode};
use selvedge_esi::{Limits, Template};
use selvedge_net::RequestBody;
use selvedge_store::{Head, Keep, Object, Question};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use text::Text;

/// What is kept with the head of a page or fragment.
#[derive(Debug)]
struct Kept {
    /// The page as it was read; `None` if it is not to be kept.
    template: OnceLock<Option<Arc<Template>>>,
    life: Life,
}

/// What becomes of an answer that was to be assembled.
pub(crate) enum Assembled {
    /// It was: this is what the client gets.
    Page(Served),
    /// There is nothing to assemble in it.
    Plain(Served),
}

/// Whether this answer is to be assembled for whoever asks.
pub(crate) fn wants(ask: &Ask, served: &Served) -> bool {
    let Some(rules) = &ask.site.esi else { return false };
    if ask.leaves_esi {
        return false;
    }
    match (&served.what, served.shared_head()) {
        (What::Object(object), _) => {
            wants_head(ask, rules, object) && !is_served_plain(ask, object)
        }
        (_, Some(head)) => wants_head(ask, rules, head),
        (What::Passed(passing), None) => {
            rules.wants(&ask.method, passing.0.status(), passing.0.headers())
        }
        _ => false,
    }
}

/// Whether a stored response is a page that is assembled here, in whatever coding it is.
pub(crate) fn is_page(ask: &Ask, object: &Object) -> bool {
    let rules = ask.site.esi.as_ref();
    !ask.leaves_esi && rules.is_some_and(|rules| wants_head(ask, rules, object))
}

fn wants_head(ask: &Ask, rules: &Rules, head: &Head) -> bool {
    head.derived.is_none()
        && head.memo.decided(Question::Assemble, ask.plan.revision, || {
            // From the lines first: a map of the fields, for each object that comes from disk, cost
            // a hit of 1 KiB half as much again.
            rules.may_want(|name| head.headers.first(name))
                && rules.wants(&Method::GET, head.status, &head.headers)
        })
}

/// Whether the page is known to have no tags, so that it can go out as it is stored.
fn is_served_plain(ask: &Ask, object: &Object) -> bool {
    let is_plain = kept(object).and_then(|kept| kept.template.get()?.as_ref());
    is_plain.is_some_and(|template| template.is_plain()) && may_take_coding(ask, object)
}

/// Whether the client takes the coding that the page is stored in.
fn may_take_coding(ask: &Ask, object: &Object) -> bool {
    let Some(coding) = object.headers.first("content-encoding") else { return true };
    let codings = [selvedge_policy::Coding::Brotli, selvedge_policy::Coding::Gzip];
    let mut codings = codings.into_iter().chain([selvedge_policy::Coding::Zstd]);
    codings.any(|known| known.token().as_bytes() == coding && ask.encodings.accepts(known))
}

fn kept(head: &Head) -> Option<&Kept> {
    head.memo.kept(Keep::Page, || Kept { template: OnceLock::new(), life: Life::of(&head.headers) })
}

/// Assembles an answer: all of it if everything is at hand, else the head goes out and the rest
/// follows as it comes.
pub(crate) async fn assemble(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    served: Served,
    ledger: &mut Ledger,
) -> Result<Assembled, Failure> {
    let Some(rules) = ask.site.esi.clone() else { return Ok(Assembled::Plain(served)) };
    let whole = match ask.carries.conditions || ask.carries.range {
        true => ask.whole(),
        false => Rc::clone(ask),
    };
    let served = whole_of(core, &whole, served, ledger).await?;
    let trail = served.trail;
    let head = Whole::of(core, &served);
    let text = match Text::of(core, &whole, served.what) {
        Ok(Text::Plain(what)) if may_leave(ask, &what) => {
            return Ok(Assembled::Plain(Served { what, trail }));
        }
        Ok(text) => text,
        Err(_) => return Err(Failure::Assembly),
    };
    ask.site.counters.here().esi_pages.inc();
    let page = Page::new(core, ask, rules, head.life);
    let lineage = Lineage::new(whole.key, None);
    let assembly = Assembly::new(Rc::clone(&page), whole, lineage, text);
    let what = What::Page(Box::new(head.deliver(ask, &page, assembly).await?));
    Ok(Assembled::Page(Served { what, trail }))
}

/// Whether a page without tags can go out as it is.
fn may_leave(ask: &Ask, what: &What) -> bool {
    matches!(what, What::Object(object) if may_take_coding(ask, object))
}

/// The page as a whole, where a part of it or nothing was found because that was asked for.
async fn whole_of(
    core: &Rc<Core>,
    ask: &Rc<Ask>,
    mut served: Served,
    ledger: &mut Ledger,
) -> Result<Served, Failure> {
    let is_part = match &served.what {
        What::Part(..) => true,
        // Nothing but a GET is asked for a second time.
        What::Passed(passing) => {
            ask.method == Method::GET && passing.0.status() == StatusCode::PARTIAL_CONTENT
        }
        _ => false,
    };
    if is_part {
        let now = core.node.now();
        served = request::answer(core, ask, RequestBody::empty(), now, ledger).await?;
    }
    match &served.what {
        What::Object(object) if object.body.sliced().is_some() => {
            Box::pin(fetch::complete(core, ask, served, ledger)).await
        }
        _ => Ok(served),
    }
}

/// How much of anything a page may ask for.
fn limits() -> Limits {
    Limits::default()
}
