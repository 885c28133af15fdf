//! `selvedge esi`: runs a page with fragments as an edge would, against an origin or a folder, and
//! shows what each tag comes to, what it cost and why. The page stays what the language makes of
//! it; caching, limits of a site and what it allows are an edge's, and no part of this.

mod source;
mod tree;

use crate::cli::EsiArgs;
use crate::client::{Fault, Kind};
use crate::problem::Problem;
use crate::process;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};
use selvedge_esi::{Evaluator, Include, Limits, OnError, Piece, Place, Template, Visitor, line_of};
use selvedge_net::Clock;
use source::{Got, Source};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;
use tree::Branch;

/// Longest page that is read.
const PAGE_BYTES_MAX: u64 = 64 << 20;
/// Fragments of one page.
const FRAGMENTS_MAX: usize = 10_000;

/// Who asks, for the page to look at.
struct Asker {
    host: String,
    uri: Uri,
    headers: HeaderMap,
}

impl Visitor for Asker {
    fn method(&self) -> &'static str {
        "GET"
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn path(&self) -> &str {
        self.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
        let lines: Vec<&[u8]> =
            self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        (!lines.is_empty()).then(|| lines.join(separator).into())
    }

    fn place(&self, _: Place) -> Option<&str> {
        None
    }

    fn is_secret_cookie(&self, _: &str) -> bool {
        false
    }
}

/// Does what `selvedge esi` was asked for.
pub(crate) fn run(args: &EsiArgs) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::System("cannot start", error))?;
    // The client of an origin has tasks of its own.
    runtime.block_on(tokio::task::LocalSet::new().run_until(show(args)))
}

async fn show(args: &EsiArgs) -> Result<(), Problem> {
    let page = read(&args.file)?;
    let source = Source::open(&args.base)?;
    let headers = fields(&args.header)?;
    let uri: Uri = match &args.path {
        Some(path) => path.parse().map_err(|_| usage(format!("{path:?} is no path of a page")))?,
        None => source.path().parse().unwrap_or_default(),
    };
    let asker = Asker { host: source.host(), uri, headers };
    let (clock, depth_max) = (Clock::start(), args.depth);
    let mut run = Run { source, clock, depth_max, left: FRAGMENTS_MAX, failed: false };
    let (text, branches) = run.page(&page, &asker, 0).await;
    let name = args.file.display().to_string();
    let summary = format!("{name}: {} bytes, assembled {} bytes", page.len(), text.len());
    let tree = tree::render(&summary, &branches);
    if args.page {
        process::say(tree.trim_end());
        process::write(&text).map_err(|error| Problem::System("cannot write the page", error))?;
    } else {
        process::print(&tree);
    }
    match run.failed {
        false => Ok(()),
        true => Err(Fault::wrong("an edge would send an error in the place of this page").into()),
    }
}

fn usage(text: String) -> Problem {
    Fault::usage(text).into()
}

/// The page: a file, or standard input.
fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    let mut page = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(PAGE_BYTES_MAX).read_to_end(&mut page)
    } else {
        std::fs::File::open(file).and_then(|it| it.take(PAGE_BYTES_MAX).read_to_end(&mut page))
    };
    match read {
        Ok(_) => Ok(page),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("there is no file {}", file.display());
            Err(Fault::new(Kind::NotFound, text).into())
        }
        Err(error) => Err(Problem::Read(file.to_owned(), error)),
    }
}

fn fields(lines: &[String]) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let bad = || usage(format!("{line:?} is no field: write 'Name: value'"));
        let (name, value) = line.split_once(':').ok_or_else(bad)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| bad())?;
        headers.append(name, HeaderValue::try_from(value.trim()).map_err(|_| bad())?);
    }
    Ok(headers)
}

/// A run of a page and all its fragments.
struct Run {
    source: Source,
    clock: Clock,
    depth_max: usize,
    left: usize,
    /// A fragment without which there is no page did not come.
    failed: bool,
}

/// What came of a part of a page: its bytes, unless it failed, and what led to them.
type Came = (Option<Vec<u8>>, Vec<Branch>);

impl Run {
    /// The text of a page, and the branches below it.
    async fn page(&mut self, page: &[u8], asker: &Asker, depth: usize) -> (Vec<u8>, Vec<Branch>) {
        let chunk = bytes::Bytes::copy_from_slice(page);
        let template = Template::parse([chunk], Limits::default());
        let mut pieces = Vec::new();
        let mut evaluator = Evaluator::new(asker, Limits::default());
        for node in template.nodes() {
            evaluator.eval(node, &mut pieces);
        }
        let faults = [template.faults(), evaluator.faults()];
        let mut branches: Vec<Branch> = faults
            .into_iter()
            .flat_map(|faults| faults.first())
            .map(|fault| Branch::fault(line_of(page, fault.offset), fault.kind.word()))
            .collect();
        let (text, below) = self.pieces(&pieces, page, asker, depth).await;
        branches.extend(below);
        if text.is_none() {
            self.failed = true;
        }
        (text.unwrap_or_default(), branches)
    }

    /// What pieces come to; boxed, for they may be within each other.
    fn pieces<'a>(
        &'a mut self,
        pieces: &'a [Piece],
        page: &'a [u8],
        asker: &'a Asker,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Came> + 'a>> {
        Box::pin(async move {
            let (mut text, mut branches) = (Some(Vec::new()), Vec::new());
            for piece in pieces {
                let came = match piece {
                    Piece::Text(bytes) => Some(bytes.to_vec()),
                    Piece::Include(include) => {
                        let line = line_of(page, include.offset);
                        let (came, branch) = self.include(include, line, asker, depth).await;
                        branches.push(branch);
                        came
                    }
                    Piece::Try(both) => {
                        let (came, below) = self.pieces(&both.attempt, page, asker, depth).await;
                        branches.push(Branch::of("attempt", came.as_ref(), below));
                        match came {
                            Some(came) => Some(came),
                            None => {
                                let (came, below) =
                                    self.pieces(&both.except, page, asker, depth).await;
                                branches.push(Branch::of("except", came.as_ref(), below));
                                came
                            }
                        }
                    }
                };
                match (&mut text, came) {
                    (Some(text), Some(came)) => text.extend(came),
                    _ => text = None,
                }
            }
            (text, branches)
        })
    }

    /// What a tag comes to: the first of its addresses that answers.
    async fn include(
        &mut self,
        include: &Include,
        line: usize,
        asker: &Asker,
        depth: usize,
    ) -> (Option<Vec<u8>>, Branch) {
        let mut branch = Branch::include(line, &include.src);
        for (src, is_alt) in [(Some(&include.src), false), (include.alt.as_ref(), true)] {
            let Some(src) = src else { continue };
            if depth >= self.depth_max || self.left == 0 {
                branch.say("left out: too deep, or too many");
                return (Some(Vec::new()), branch);
            }
            self.left -= 1;
            let began_us = self.clock.now_mono_us();
            let got = self.source.fetch(src, include, asker.uri.path(), &asker.headers).await;
            let took_us = self.clock.now_mono_us().saturating_sub(began_us);
            let took = Duration::from_micros(took_us);
            let which = if is_alt { format!("alt {src}") } else { "src".to_owned() };
            match got {
                Ok(Got { body, status, is_page, uri }) => {
                    branch.cost(&which, &status, body.len(), took);
                    if !is_page {
                        return (Some(body), branch);
                    }
                    let headers = asker.headers.clone();
                    let asker = Asker { host: asker.host.clone(), uri, headers };
                    let failed = std::mem::take(&mut self.failed);
                    let (text, below) = Box::pin(self.page(&body, &asker, depth + 1)).await;
                    branch.below(below);
                    let came = (!self.failed).then_some(text);
                    self.failed = failed;
                    if came.is_some() {
                        return (came, branch);
                    }
                }
                Err(why) => branch.cost(&which, &why, 0, took),
            }
        }
        match include.on_error {
            OnError::Continue => {
                branch.say("nothing in its place (onerror=continue)");
                (Some(Vec::new()), branch)
            }
            OnError::Fail => {
                branch.say("fails what it is in");
                (None, branch)
            }
        }
    }
}
