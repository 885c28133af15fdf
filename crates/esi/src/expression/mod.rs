//! What may stand in a `test`, in the value of an `assign`, and after a `$`: read once when the
//! template is read, bounded in length and depth.

mod cursor;
mod function;
mod parse;
mod pattern;

pub(crate) use function::Function;
pub(crate) use parse::{Budget, Segment, interpolation, whole};
pub(crate) use pattern::Pattern;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    /// A string or a number.
    Literal(Box<[u8]>),
    /// A reference to a variable.
    Variable(Box<Variable>),
    /// A call of a function.
    Call(Function, Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// One or the other.
    Or(Box<Self>, Box<Self>),
    /// Two values compared.
    Compare(Comparison, Box<Self>, Box<Self>),
    /// Whether a pattern is found in a value.
    Matches(Box<Self>, Pattern),
    /// Whether one value is in the other.
    Has(Box<Self>, Box<Self>, Letters),
}

impl Expression {
    /// About what it takes beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let both = |left: &Self, right: &Self| {
            2 * size_of::<Self>() + left.heap_bytes() + right.heap_bytes()
        };
        match self {
            Self::Literal(text) => text.len(),
            Self::Variable(_) => size_of::<Variable>(),
            Self::Call(_, arguments) => {
                arguments.iter().map(|argument| size_of::<Self>() + argument.heap_bytes()).sum()
            }
            Self::Not(inner) => size_of::<Self>() + inner.heap_bytes(),
            Self::And(left, right) | Self::Or(left, right) => both(left, right),
            Self::Compare(_, left, right) | Self::Has(left, right, _) => both(left, right),
            Self::Matches(subject, pattern) => subject.heap_bytes() + pattern.heap_bytes(),
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Whether capital and small letters are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letters {
    Differ,
    Same,
}

/// `$(NAME{key}|default)`
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: Name,
    pub(crate) key: Option<Expression>,
    pub(crate) default: Option<Expression>,
}

/// What a variable stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    QueryString,
    Cookie,
    /// A field of the request, by its name in lower case.
    Header(&'static str),
    AnyHeader,
    AcceptLanguage,
    UserAgent,
    Host,
    Method,
    Path,
    Geo,
    /// One that the page assigned, or the groups of a pattern.
    Assigned(Box<str>),
}

impl Name {
    pub(crate) fn from_text(text: &str) -> Self {
        match text {
            "QUERY_STRING" => Self::QueryString,
            "HTTP_COOKIE" => Self::Cookie,
            "HTTP_REFERER" => Self::Header("referer"),
            "HTTP_ACCEPT_LANGUAGE" => Self::AcceptLanguage,
            "HTTP_USER_AGENT" => Self::UserAgent,
            "HTTP_HOST" => Self::Host,
            "HTTP_HEADER" => Self::AnyHeader,
            "REQUEST_METHOD" => Self::Method,
            "REQUEST_PATH" => Self::Path,
            "GEO" => Self::Geo,
            _ => Self::Assigned(text.into()),
        }
    }
}

/// Whether a page may give this name to a variable.
pub(crate) fn is_free_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && text.len() <= NAME_BYTES_MAX
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && matches!(Name::from_text(text), Name::Assigned(_))
}

/// Of the name of a variable.
pub(crate) const NAME_BYTES_MAX: usize = 256;
