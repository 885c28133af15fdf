//! One row of the key table, and the macro that turns rows into a struct, its parser, its bounds,
//! its defaults and its documentation at once.

use crate::units::{duration_ms, size_bytes};

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// With the next reload.
    Reload,
    /// Only with the next start; a reload that changes it is refused.
    Restart,
}

/// What holds when the file does not mention a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Absence {
    /// The key must be there.
    Required,
    /// Nothing; the text says what that means.
    Absent(&'static str),
    /// This value, in the notation of the file.
    Toml(&'static str),
    /// A value that depends on the deployment.
    ByProfile {
        /// For [`crate::Profile::Facing`].
        facing: &'static str,
        /// For [`crate::Profile::Inner`].
        inner: &'static str,
    },
}

/// The type of a value with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `"30s"`.
    Duration {
        /// Smallest value, as text.
        min: &'static str,
        /// Largest value, as text.
        max: &'static str,
    },
    /// `"64MiB"`.
    Size {
        /// Smallest value, as text.
        min: &'static str,
        /// Largest value, as text.
        max: &'static str,
    },
    /// A whole number.
    Count {
        /// Smallest value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A decimal number.
    Decimal {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// `true` or `false`.
    Flag,
    /// A name of letters, digits, `-`, `_` and `.` that begins with a letter.
    Name,
    /// The path of a file.
    File,
    /// The path of a folder.
    Folder,
    /// A table of the path of a folder and a size.
    Disk,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `false` or a list of these words.
    FlagOrWords(&'static [&'static str]),
    /// `"127.0.0.1:8080"`.
    Address,
    /// `"192.0.2.1"`.
    Ip,
    /// `"10.0.0.0/8"`.
    Network,
    /// `"https://origin.example:8443"`.
    Url,
    /// A URL, or a table of a URL and a weight.
    Origin,
    /// A region's name, or a table of the name and a weight.
    RegionShare,
    /// A table of a path, a kind and a lifetime.
    MediaRule,
    /// Two letters.
    Country,
    /// A host name, `*.name`, or `*`.
    HostPattern,
    /// A host name with an optional port.
    HostPort,
    /// A host name.
    HostName,
    /// A path that begins with `/`.
    Path,
    /// A query parameter's name, with an optional `*` at its end.
    QueryName,
    /// A language tag.
    Language,
    /// `type/subtype`, or `type/*`.
    MediaType,
    /// A short word of letters, digits, `-` and `_`.
    Word,
    /// A path, or with `/` at its end all that is below.
    PathPrefix,
    /// What browsers call an origin, or `*`.
    WebOrigin,
    /// `stdout`, `stderr`, `off` or a path.
    LogTarget,
    /// A table of `set`, `add` and `remove`; which fields it may name depends on the side.
    HeaderRules(Side),
    /// A list of values.
    List {
        /// Type of each one.
        of: &'static Self,
        /// Most values.
        max: usize,
    },
}

/// Which message header rules change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request that goes to the next hop.
    Request,
    /// The response that goes to the client.
    Response,
}

/// One key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// Its name inside its table.
    pub name: &'static str,
    /// Type and bounds.
    pub kind: Kind,
    /// What holds without it.
    pub default: Absence,
    /// When a change takes effect.
    pub apply: Apply,
    /// What it is, in one line.
    pub line: &'static str,
    /// What one must know to choose a value, in one paragraph.
    pub help: &'static str,
}

impl Section {
    /// The row of a key.
    ///
    /// # Panics
    /// When there is none: the tables ask for their own rows only.
    pub(crate) fn key(&self, name: &str) -> &'static Key {
        self.keys.iter().find(|key| key.name == name).expect("a table asks for its own rows")
    }
}

/// How often a table may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `[table]`, at most once.
    One,
    /// `[[table]]`, at most this often.
    Many(usize),
}

/// One table of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// How often it may appear.
    pub shape: Shape,
    /// What it is about.
    pub about: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// A duration between two bounds; does not compile with a bound that is none.
pub(crate) const fn duration(min: &'static str, max: &'static str) -> Kind {
    assert!(duration_ms(min) <= duration_ms(max));
    Kind::Duration { min, max }
}

/// A size between two bounds; does not compile with a bound that is none.
pub(crate) const fn size(min: &'static str, max: &'static str) -> Kind {
    assert!(size_bytes(min) <= size_bytes(max));
    Kind::Size { min, max }
}

/// A whole number between two bounds.
pub(crate) const fn count(min: u64, max: u64) -> Kind {
    assert!(min <= max);
    Kind::Count { min, max }
}

/// A decimal number between two bounds.
pub(crate) const fn decimal(min: f64, max: f64) -> Kind {
    assert!(min <= max);
    Kind::Decimal { min, max }
}

/// A list with a most number of values.
pub(crate) const fn list(of: &'static Kind, max: usize) -> Kind {
    Kind::List { of, max }
}

/// Declares a table: the struct, its rows, and the reading of one from the other.
///
/// A row is `field: Type = kind, (default), When, "one line", "one paragraph";` where the default
/// is one of
///
/// | form | meaning |
/// |---|---|
/// | `(required)` | must be given |
/// | `(none "what that means")` | `Type` is an `Option` or a `Vec` and stays empty |
/// | `(= "30s")` | this value, in the notation of the file |
/// | `(profile [..] [..])` | the value for `Facing`, and for `Inner` |
macro_rules! section {
    (
        #[doc = $about:literal]
        $struct:ident = $table:literal, $shape:expr;
        $( $field:ident $(as $rename:literal)? : $type:ty = $kind:expr, $default:tt, $apply:ident,
           $line:literal, $help:literal; )*
    ) => {
        #[doc = $about]
        #[derive(Clone, Debug, PartialEq)]
        pub struct $struct {
            $( #[doc = $line] #[doc = ""] #[doc = $help] pub $field: $type, )*
        }

        impl $struct {
            /// The rows this table is read from.
            pub const SECTION: $crate::key::Section = $crate::key::Section {
                name: $table,
                shape: $shape,
                about: $about,
                keys: &[ $( $crate::key::Key {
                    name: section!(@name $field $($rename)?),
                    kind: $kind,
                    default: section!(@default $default),
                    apply: $crate::key::Apply::$apply,
                    line: $line,
                    help: $help,
                }, )* ],
            };

            pub(crate) fn read(table: &mut $crate::read::TableReader<'_, '_>) -> Self {
                table.refuse_unknown();
                Self { $( $field: section!(@read $default table, $field $($rename)?) ),* }
            }

            /// Adds the keys that differ and only take effect with a start.
            pub(crate) fn restart_needed(&self, other: &Self, needed: &mut Vec<&'static str>) {
                $( if matches!($crate::key::Apply::$apply, $crate::key::Apply::Restart)
                    && self.$field != other.$field
                {
                    needed.push(concat!($table, ".", section!(@name $field $($rename)?)));
                } )*
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $rename:literal) => { $rename };
    (@default (required)) => { $crate::key::Absence::Required };
    (@default (none $why:literal)) => { $crate::key::Absence::Absent($why) };
    (@default (= $($toml:tt)+)) => { $crate::key::Absence::Toml(stringify!($($toml)+)) };
    (@default (profile $facing:tt $inner:tt)) => {
        $crate::key::Absence::ByProfile { facing: stringify!($facing), inner: stringify!($inner) }
    };
    (@read (required) $table:ident, $($name:tt)+) => {
        $table.field_or_empty(section!(@name $($name)+))
    };
    (@read (none $why:literal) $table:ident, $($name:tt)+) => {
        $table.field_or_empty(section!(@name $($name)+))
    };
    (@read $default:tt $table:ident, $($name:tt)+) => {
        $table.field(section!(@name $($name)+))
    };
}
pub(crate) use section;
