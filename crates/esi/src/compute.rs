//! What expressions come to for one visitor.

use std::cmp::Ordering;

use crate::evaluator::{Assigned, Evaluator};
use crate::expression::{Comparison, Expression, Letters, Name, Pattern, Segment, Variable};
use crate::faults::FaultKind;
use crate::value::{Origin, Room, Value};
use crate::variable::{look_up, source_bytes};

/// What the groups of a pattern have found.
pub(crate) type Groups = Vec<Option<Value<'static>>>;

impl<'a> Evaluator<'a> {
    /// What an expression comes to. The groups of the last pattern that was found go to `groups`.
    pub(crate) fn value<'v>(
        &mut self,
        expression: &'v Expression,
        groups: &mut Option<Groups>,
    ) -> Value<'v>
    where
        'a: 'v,
    {
        if !self.step(0) {
            return Value::Undefined;
        }
        match expression {
            Expression::Literal(text) => Value::Text((&**text).into(), Origin::Page),
            Expression::Variable(variable) => self.variable(variable, groups),
            Expression::Call(function, arguments) => {
                let arguments: Vec<_> =
                    arguments.iter().map(|argument| self.value(argument, groups)).collect();
                let mut room = Room::new(self.state.limits.value_bytes_max);
                let value = function.call(&arguments, &mut room);
                self.bounded(value, room.is_exceeded())
            }
            Expression::Not(inner) => Value::Flag(!self.value(inner, groups).is_true()),
            Expression::And(left, right) => {
                let both =
                    self.value(left, groups).is_true() && self.value(right, groups).is_true();
                Value::Flag(both)
            }
            Expression::Or(left, right) => {
                let any = self.value(left, groups).is_true() || self.value(right, groups).is_true();
                Value::Flag(any)
            }
            Expression::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left, groups), self.value(right, groups));
                let order = left.compare(&right);
                Value::Flag(order.is_some_and(|order| comparison.holds(order)))
            }
            Expression::Matches(subject, pattern) => {
                let subject = self.value(subject, groups);
                Value::Flag(self.matches(&subject, pattern, groups))
            }
            Expression::Has(text, wanted, letters) => {
                let (text, wanted) = (self.value(text, groups), self.value(wanted, groups));
                Value::Flag(has(&text, &wanted, *letters))
            }
        }
    }

    fn variable<'v>(&mut self, variable: &'v Variable, groups: &mut Option<Groups>) -> Value<'v>
    where
        'a: 'v,
    {
        let key = variable.key.as_ref().map(|key| self.value(key, groups));
        let key = key.as_ref().map(Value::text);
        let value = match &variable.name {
            Name::Assigned(name) => self.assigned(name, key.as_deref()),
            name => {
                let visitor = self.visitor;
                let bytes = source_bytes(visitor, name);
                let value =
                    if self.step(bytes) { look_up(visitor, name, key.as_deref()) } else { NONE };
                self.bounded(value, false)
            }
        };
        match &variable.default {
            Some(default) if value.text().is_empty() => self.value(default, groups),
            _ => value,
        }
    }

    fn assigned<'v>(&mut self, name: &str, key: Option<&[u8]>) -> Value<'v> {
        let found = match (self.state.scope.variables.get(name), key) {
            (Some(Assigned::Value(value)), None) => value.clone(),
            (Some(Assigned::Groups(groups)), key) => {
                let number = std::str::from_utf8(key.unwrap_or(b"0")).ok();
                let number = number.and_then(|number| number.parse::<usize>().ok());
                number.and_then(|number| groups.get(number).cloned().flatten()).unwrap_or(NONE)
            }
            _ => NONE,
        };
        let bytes = found.text().len();
        if self.step(bytes) { found } else { NONE }
    }

    fn matches(
        &mut self,
        subject: &Value<'_>,
        pattern: &Pattern,
        groups: &mut Option<Groups>,
    ) -> bool {
        if matches!(subject, Value::Undefined) {
            return false;
        }
        let text = subject.text();
        // Each byte may cost as much as the pattern is long.
        if !self.step(text.len().saturating_mul(8)) || !pattern.is_match(&text) {
            return false;
        }
        // What was found in the page's own text is the page's own.
        let origin = Origin::Page.and(subject);
        let found = pattern.captures(&text).map(|captures| {
            let group = |found: Option<regex::bytes::Match<'_>>| {
                found.map(|found| Value::Text(found.as_bytes().to_vec().into(), origin))
            };
            captures.iter().take(GROUPS_MAX).map(group).collect()
        });
        *groups = found;
        true
    }

    /// Cuts off what is longer than a value may be, and takes it from what the page may come to.
    fn bounded<'v>(&mut self, value: Value<'v>, exceeded: bool) -> Value<'v> {
        let Value::Text(text, origin) = value else { return value };
        let bytes_max = self.state.limits.value_bytes_max;
        if exceeded || text.len() > bytes_max {
            self.fault(FaultKind::ValueTooLong);
        }
        let text = match text {
            text if text.len() <= bytes_max => text,
            text => text[..bytes_max].to_vec().into(),
        };
        if self.expand(text.len()) { Value::Text(text, origin) } else { Value::Undefined }
    }

    /// What the parts of an address, a header or a body come to.
    pub(crate) fn segments(&mut self, segments: &[Segment], mut add: impl FnMut(&[u8], Origin)) {
        for segment in segments {
            match segment {
                Segment::Text(text) => add(text, Origin::Page),
                Segment::Value(expression) => {
                    let value = self.value(expression, &mut None);
                    add(&value.text(), value.origin());
                }
            }
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn has(text: &Value<'_>, wanted: &Value<'_>, letters: Letters) -> bool {
    if matches!(text, Value::Undefined) || matches!(wanted, Value::Undefined) {
        return false;
    }
    let (text, wanted) = (text.text(), wanted.text());
    match letters {
        Letters::Differ => memchr::memmem::find(&text, &wanted).is_some(),
        Letters::Same => {
            let (text, wanted) = (text.to_ascii_lowercase(), wanted.to_ascii_lowercase());
            memchr::memmem::find(&text, &wanted).is_some()
        }
    }
}

const NONE: Value<'static> = Value::Undefined;

/// Groups of a pattern that are kept.
const GROUPS_MAX: usize = 32;
