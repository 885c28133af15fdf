//! The key table: every key of a configuration file, once. The structs, the parser, the bounds, the
//! defaults and `configs/README.md` all come from these rows.

pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod dns;
pub(crate) mod limits;
pub(crate) mod node;
pub(crate) mod purge;
pub(crate) mod site;
pub(crate) mod upstream;

use crate::key::Section;

/// All tables, in the order of the documentation.
pub const SECTIONS: &[Section] = &[
    node::Node::SECTION,
    node::Listen::SECTION,
    node::Admin::SECTION,
    purge::Purge::SECTION,
    node::Cache::SECTION,
    node::Certificate::SECTION,
    upstream::Upstream::SECTION,
    control::Control::SECTION,
    data::Data::SECTION,
    dns::Dns::SECTION,
    dns::Health::SECTION,
    dns::Zone::SECTION,
    dns::Region::SECTION,
    dns::Edge::SECTION,
    site::Site::SECTION,
    limits::Limits::SECTION,
    node::Log::SECTION,
];
