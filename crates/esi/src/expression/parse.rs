//! Reads expressions, and text with references in it.
//!
//! ```text
//! expression = and *( ("|" / "||") and )
//! and        = not *( ("&" / "&&") not )
//! not        = "!" not / comparison
//! comparison = operand [ operator operand ]
//! operator   = "==" / "!=" / "<" / "<=" / ">" / ">=" / "has" / "has_i" / "matches" / "matches_i"
//! operand    = "(" expression ")" / string / number / reference
//! reference  = "$(" name [ "{" key "}" ] [ "|" default ] ")"
//!            / "$" function "(" [ expression *( "," expression ) ] ")"
//! key        = string / reference / bare text          default = the same
//! ```

use bytes::Bytes;

use super::cursor::Cursor;
use super::{Comparison, Expression, Function, Letters, Name, Pattern, Variable};
use crate::faults::FaultKind;
use crate::limits::Limits;

/// What of a template's maxima is left.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) limits: Limits,
    pub(crate) nodes: usize,
    pub(crate) regexes: usize,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, nodes: limits.nodes_max, regexes: limits.regexes_max }
    }

    /// Takes one node, if one is left.
    pub(crate) fn node(&mut self) -> Result<(), FaultKind> {
        self.nodes = self.nodes.checked_sub(1).ok_or(FaultKind::TooManyNodes)?;
        Ok(())
    }
}

/// A part of text with references.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Segment {
    Text(Bytes),
    Value(Expression),
}

/// Reads an expression that is all there is.
pub(crate) fn whole(text: &[u8], budget: &mut Budget) -> Result<Expression, FaultKind> {
    let mut parser = Parser::new(text, budget);
    parser.cursor.space();
    let expression = parser.expression()?;
    parser.cursor.space();
    if parser.cursor.is_at_end() { Ok(expression) } else { Err(FaultKind::BadExpression) }
}

/// Reads text with references in it; a `$` that begins none is text.
pub(crate) fn interpolation(
    text: &Bytes,
    budget: &mut Budget,
    fault: &mut impl FnMut(FaultKind),
) -> Vec<Segment> {
    let (mut segments, mut from, mut at) = (Vec::new(), 0, 0);
    let mut patience = PATIENCE_BYTES + PATIENCE * text.len();
    while let Some(found) = memchr::memchr(b'$', &text[at..]) {
        let start = at + found;
        let reach = text.len().min(start + REFERENCE_BYTES_MAX);
        let mut parser = Parser::new(&text[start..reach], budget);
        let read = parser.reference();
        let end = start + parser.cursor.at();
        match read {
            Ok(value) => {
                if from < start {
                    segments.push(Segment::Text(text.slice(from..start)));
                }
                match budget.node() {
                    Ok(()) => segments.push(Segment::Value(value)),
                    Err(kind) => fault(kind),
                }
                (from, at) = (end, end);
            }
            Err(_) => {
                at = start + 1;
                match patience.checked_sub(end - start) {
                    Some(left) => patience = left,
                    None => {
                        fault(BAD);
                        break;
                    }
                }
            }
        }
    }
    if from < text.len() {
        segments.push(Segment::Text(text.slice(from..)));
    }
    segments
}

/// Of one reference within text: what is longer is text.
const REFERENCE_BYTES_MAX: usize = 1024;

/// How often text may be read over because what began like a reference was none, and how much of
/// a short one: beyond that, what is left has no references.
const PATIENCE: usize = 4;
const PATIENCE_BYTES: usize = 16 * 1024;

struct Parser<'t, 'b> {
    cursor: Cursor<'t>,
    budget: &'b mut Budget,
    terms: usize,
    depth: usize,
}

type Parsed = Result<Expression, FaultKind>;

const BAD: FaultKind = FaultKind::BadExpression;

impl<'t, 'b> Parser<'t, 'b> {
    fn new(text: &'t [u8], budget: &'b mut Budget) -> Self {
        let limits = budget.limits;
        let (terms, depth) = (limits.expression_terms_max, limits.expression_depth_max);
        Self { cursor: Cursor::new(text), budget, terms, depth }
    }

    fn expression(&mut self) -> Parsed {
        let mut left = self.and()?;
        while self.cursor.token(b"||") || self.cursor.token(b"|") {
            self.term()?;
            left = Expression::Or(left.into(), self.and()?.into());
        }
        Ok(left)
    }

    fn and(&mut self) -> Parsed {
        let mut left = self.not()?;
        while self.cursor.token(b"&&") || self.cursor.token(b"&") {
            self.term()?;
            left = Expression::And(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Parsed {
        if !self.cursor.token(b"!") {
            return self.comparison();
        }
        self.term()?;
        let operand = self.deeper(Self::not)?;
        Ok(Expression::Not(operand.into()))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.operand()?;
        for (sign, comparison) in COMPARISONS {
            if self.cursor.token(sign) {
                return Ok(Expression::Compare(comparison, left.into(), self.operand()?.into()));
            }
        }
        for (word, letters) in [(&b"has"[..], Letters::Differ), (b"has_i", Letters::Same)] {
            if self.cursor.keyword(word) {
                return Ok(Expression::Has(left.into(), self.operand()?.into(), letters));
            }
        }
        for (word, letters) in [(&b"matches"[..], Letters::Differ), (b"matches_i", Letters::Same)] {
            if self.cursor.keyword(word) {
                return Ok(Expression::Matches(left.into(), self.pattern(letters)?));
            }
        }
        Ok(left)
    }

    /// A pattern is a string that stands in the page: nobody who asks for it can choose it.
    fn pattern(&mut self, letters: Letters) -> Result<Pattern, FaultKind> {
        self.cursor.space();
        let text = self.cursor.string().ok_or(BAD)?;
        self.budget.regexes = self.budget.regexes.checked_sub(1).ok_or(FaultKind::BadRegex)?;
        Pattern::new(&text, letters, self.budget.limits.regex_bytes_max).ok_or(FaultKind::BadRegex)
    }

    fn operand(&mut self) -> Parsed {
        self.term()?;
        self.cursor.space();
        match self.cursor.peek().ok_or(BAD)? {
            b'(' => {
                self.cursor.take(b"(");
                let inner = self.deeper(Self::expression)?;
                if self.cursor.token(b")") { Ok(inner) } else { Err(BAD) }
            }
            b'$' => self.reference(),
            b'\'' | b'"' => self.cursor.string().map(Expression::Literal).ok_or(BAD),
            _ => self.cursor.number().map(|text| Expression::Literal(text.into())).ok_or(BAD),
        }
    }

    /// From its `$` to its `)`.
    fn reference(&mut self) -> Parsed {
        self.deeper(|parser| {
            if parser.cursor.take(b"$(") {
                return parser.variable();
            }
            if !parser.cursor.take(b"$") {
                return Err(BAD);
            }
            let function = parser.cursor.word().and_then(Function::from_name).ok_or(BAD)?;
            if !parser.cursor.take(b"(") {
                return Err(BAD);
            }
            parser.call(function)
        })
    }

    fn call(&mut self, function: Function) -> Parsed {
        let mut arguments = Vec::new();
        self.cursor.space();
        while self.cursor.peek() != Some(b')') {
            if !arguments.is_empty() && !self.cursor.token(b",") {
                return Err(BAD);
            }
            arguments.push(self.expression()?);
            self.cursor.space();
        }
        self.cursor.take(b")");
        let fits = function.arguments().contains(&arguments.len());
        if fits { Ok(Expression::Call(function, arguments)) } else { Err(BAD) }
    }

    fn variable(&mut self) -> Parsed {
        let name = Name::from_text(self.cursor.word().ok_or(BAD)?);
        let (mut key, mut default) = (None, None);
        if self.cursor.take(b"{") {
            key = Some(self.simple(b'}')?);
            if !self.cursor.token(b"}") {
                return Err(BAD);
            }
        }
        if self.cursor.token(b"|") {
            default = Some(self.simple(b')')?);
        }
        self.cursor.space();
        let variable = Variable { name, key, default };
        if self.cursor.take(b")") { Ok(Expression::Variable(variable.into())) } else { Err(BAD) }
    }

    /// A key or a default, which ends before this byte.
    fn simple(&mut self, end: u8) -> Parsed {
        self.term()?;
        self.cursor.space();
        match self.cursor.peek().ok_or(BAD)? {
            b'$' => self.reference(),
            b'\'' | b'"' => self.cursor.string().map(Expression::Literal).ok_or(BAD),
            _ => self.cursor.bare(end).map(|text| Expression::Literal(text.into())).ok_or(BAD),
        }
    }

    fn term(&mut self) -> Result<(), FaultKind> {
        self.terms = self.terms.checked_sub(1).ok_or(BAD)?;
        Ok(())
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth = self.depth.checked_sub(1).ok_or(BAD)?;
        let read = inner(self);
        self.depth += 1;
        read
    }
}

/// The longer signs first.
const COMPARISONS: [(&[u8], Comparison); 6] = [
    (b"==", Comparison::Equal),
    (b"!=", Comparison::NotEqual),
    (b"<=", Comparison::LessOrEqual),
    (b">=", Comparison::GreaterOrEqual),
    (b"<", Comparison::Less),
    (b">", Comparison::Greater),
];
