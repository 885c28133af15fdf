//! What must hold between the keys of a site about tokens, and between those about CORS.

use super::{paths, unique};
use crate::read::Context;
use crate::{Config, Signed, Site};

/// A site that came by itself knows no node.
pub(super) fn check(
    node: Option<&Config>,
    site: &Site,
    cx: &mut Context<'_>,
    path: impl Fn(&str) -> String,
) {
    let (signed, keys) = (path("signed"), path("signed_keys"));
    unique(paths(&keys, &site.signed_keys), cx);
    if site.signed != Signed::Off {
        if site.signed_keys.is_empty() {
            cx.conflict(
                &[&signed, &keys],
                "asks for tokens, and there is no key to check them with".to_owned(),
                "the name of a key in signed_keys, or \"off\"",
            );
        }
        if node.is_some_and(|node| !node.is_dns() && node.node.sign_keys.is_none()) {
            cx.conflict(
                &[&signed, "node.sign_keys"],
                "asks for tokens, and node.sign_keys does not say where the keys are".to_owned(),
                "a folder in node.sign_keys, or \"off\"",
            );
        }
    }
    let (cors, credentials) = (path("cors"), path("cors_credentials"));
    unique(paths(&cors, &site.cors), cx);
    let is_any = site.cors.iter().any(|origin| origin.as_str() == "*");
    if is_any && site.cors.len() > 1 {
        cx.conflict(
            &[&cors],
            "names `*` and others, which are all in it".to_owned(),
            "[\"*\"], or origins without it",
        );
    }
    if site.cors_credentials && (is_any || site.cors.is_empty()) {
        cx.conflict(
            &[&credentials, &cors],
            "is for pages that are named, and cors names none".to_owned(),
            "the origins of these pages in cors, or false",
        );
    }
}
