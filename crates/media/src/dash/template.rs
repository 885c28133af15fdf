//! Templates of addresses (ISO/IEC 23009-1 5.3.9.4.4): `$Number%05d$` and its like.

use crate::address::{Base, Refusal, Scope, Url, resolve};

/// What stands for the segment in a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// `$Number$`
    Number,
    /// `$Time$`
    Time,
}

/// A template of which all but the segment is known: what stands before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Path (and query) in front
    pub before: String,
    /// What stands for the segment
    pub variable: Variable,
    /// At least so many digits, zeros in front
    pub width: usize,
    /// Path (and query) behind
    pub after: String,
}

impl Pattern {
    /// A template with the values of a representation filled in, at its place in the address
    /// space. None if it does not name the segment exactly once, or names something else.
    pub fn of(
        template: &str,
        id: &str,
        bandwidth_bps: u64,
        base: &Base<'_>,
        scope: &Scope<'_>,
    ) -> Option<Self> {
        if template.contains(MARK) {
            return None;
        }
        let mut variable = None;
        let filled = fill(template, |name, width| match name {
            "RepresentationID" => Some(id.to_owned()),
            "Bandwidth" => Some(format!("{bandwidth_bps:0width$}")),
            "Number" | "Time" if variable.is_none() => {
                let which = if name == "Time" { Variable::Time } else { Variable::Number };
                variable = Some((which, width));
                Some(MARK.to_owned())
            }
            _ => None,
        })?;
        let (variable, width) = variable?;
        let url = resolve(base, &filled).ok()?;
        scope.check(&url).ok()?;
        let whole = url.path_and_query();
        let (before, after) = whole.split_once(MARK)?;
        let (before, after) = (before.to_owned(), after.to_owned());
        Some(Self { before, variable, width, after })
    }

    /// The address of a segment.
    pub fn path(&self, value: u64) -> String {
        format!("{}{value:0width$}{}", self.before, self.after, width = self.width)
    }

    /// The number or time in an address of this pattern.
    pub fn value(&self, path: &str) -> Option<u64> {
        let digits = path.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        let value = crate::time::integer(digits)?;
        let padded = digits.len() == self.width || !digits.starts_with('0') || digits == "0";
        (padded && digits.len() >= self.width).then_some(value)
    }
}

/// `@initialization` with its values filled in and resolved.
pub(crate) fn fixed(
    template: &str,
    id: &str,
    bandwidth_bps: u64,
    base: &Base<'_>,
) -> Result<Url, Refusal> {
    let filled = fill(template, |name, width| match name {
        "RepresentationID" => Some(id.to_owned()),
        "Bandwidth" => Some(format!("{bandwidth_bps:0width$}")),
        _ => None,
    });
    resolve(base, &filled.ok_or(Refusal::Character)?)
}

/// Replaces the names between dollars; `$$` is one. None for what is malformed, or when a name
/// has no value.
fn fill(template: &str, mut value: impl FnMut(&str, usize) -> Option<String>) -> Option<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('$') {
        out.push_str(text);
        let (tag, after) = after.split_once('$')?;
        if tag.is_empty() {
            out.push('$');
        } else {
            let (name, width) = match tag.split_once('%') {
                None => (tag, 1),
                Some((name, format)) => {
                    let width = format.strip_prefix('0')?.strip_suffix('d')?;
                    (name, width.parse().ok().filter(|width| *width <= WIDTH_MAX)?)
                }
            };
            out.push_str(&value(name, width)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// Stands for the segment while the rest is resolved.
const MARK: &str = "~~segment~~";
/// A number of 64 bits has no more digits.
const WIDTH_MAX: usize = 20;
