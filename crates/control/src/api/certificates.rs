//! Certificates of sites. The key goes in, and never out again but sealed, to nodes.

use axum::body::Body;
use axum::extract::{Path, State as Ext};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use selvedge_config::HostPattern;
use selvedge_net::{CertificatePem, Certificates};
use serde::{Deserialize, Serialize};

use super::bodies::{self, reply};
use super::caller::Caller;
use super::conditions;
use super::sites::{hosts, may_see};
use super::{App, Revised};
use crate::desk::Decision;
use crate::problem::{Kind, Problem, ProblemBody};
use crate::state::digest::Digest;
use crate::state::record::{Certificate, Deed, Scope};
use crate::state::{Site, State};

/// Bytes of a chain or a key at most.
const PEM_BYTES_MAX: usize = 128 << 10;

/// A certificate and its key.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCertificate {
    /// The certificate of the site and the intermediate ones, PEM.
    chain: String,
    /// The private key, PEM: PKCS#8, PKCS#1 or SEC1, without a password.
    key: String,
}

/// A certificate, without its key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CertificateBody {
    /// The site.
    site: String,
    /// The certificate and the intermediate ones, PEM.
    chain: String,
    /// The names it is for.
    names: Vec<String>,
    /// When it ends, in seconds since 1970.
    not_after_s: i64,
    /// The newest revision when this was answered.
    revision: u64,
}

impl CertificateBody {
    fn new(site: &str, certificate: &Certificate, revision: u64) -> Self {
        Self {
            site: site.to_owned(),
            chain: certificate.chain.clone(),
            names: certificate.names.clone(),
            not_after_s: certificate.not_after_s,
            revision,
        }
    }
}

/// The certificate of a site, without its key.
#[utoipa::path(get, path = "/v1/sites/{site}/certificate", tag = "certificates",
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = CertificateBody, description = "`ETag` is for `If-Match`"),
    (status = 304, description = "It is the one of `If-None-Match`"),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn read(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    may_see(&caller, &name)?;
    let state = app.desk.state();
    let site = state.site(&name).ok_or_else(|| Problem::not_found("site", &name))?;
    let certificate = site.certificate.as_ref();
    let certificate = certificate.ok_or_else(|| Problem::not_found("certificate of", &name))?;
    let tag = etag(certificate);
    if conditions::is_not_modified(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let body = CertificateBody::new(&name, certificate, state.revision);
    Ok(([(header::ETAG, tag)], axum::Json(body)).into_response())
}

/// The entity tag of a certificate: another chain or another key makes another one.
fn etag(certificate: &Certificate) -> String {
    let text = format!("{}\n{}", certificate.chain, certificate.sealed_key);
    Digest::of(text.as_bytes()).etag()
}

fn current_tag(state: &State, site: &str) -> Option<String> {
    state.site(site)?.certificate.as_deref().map(etag)
}

/// Put the certificate of a site.
///
/// It is checked: the key belongs to it, it has not ended, and one of its names is good for a host
/// of the site; nodes use it for hosts of the site only. The key is stored sealed, and cannot
/// be read back. `If-Match` refuses to overwrite another one, `If-None-Match: *` to overwrite any.
#[utoipa::path(put, path = "/v1/sites/{site}/certificate", tag = "certificates",
    request_body = NewCertificate,
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = CertificateBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn put(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let (new, bytes): (NewCertificate, _) = bodies::json(&headers, body).await?;
    if new.chain.len() > PEM_BYTES_MAX || new.key.len() > PEM_BYTES_MAX {
        return Err(Problem::new(Kind::TooLarge, "the chain or the key is too long"));
    }
    let certificate = checked(&app, &name, new)?;
    let done = app.desk.submit(caller.asker(&bytes), move |state, moment| {
        let site = state.site(&name).ok_or_else(|| Problem::not_found("site", &name))?;
        fits(site, &certificate.names)?;
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        let body = CertificateBody::new(&name, &certificate, moment.revision);
        let mut answer = reply(StatusCode::OK, &body);
        answer.fields.push(("etag".to_owned(), etag(&certificate)));
        Ok(Decision::Do(Deed::CertificatePut { site: name, certificate }, answer))
    });
    Ok(done.await?.into_response())
}

/// Take away the certificate of a site.
#[utoipa::path(delete, path = "/v1/sites/{site}/certificate", tag = "certificates",
    params(("site" = String, Path, description = "The name of the site")), responses(
    (status = 200, body = Revised),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json")))]
pub(crate) async fn remove(
    Ext(app): Ext<App>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Config, Some(&name))?;
    let done = app.desk.submit(caller.asker(b""), move |state, moment| {
        let site = state.site(&name).ok_or_else(|| Problem::not_found("site", &name))?;
        if site.certificate.is_none() {
            return Err(Problem::not_found("certificate of", &name));
        }
        conditions::check(&headers, current_tag(state, &name).as_deref())?;
        let answer = reply(StatusCode::OK, &Revised { revision: moment.revision });
        Ok(Decision::Do(Deed::CertificateRemoved { site: name }, answer))
    });
    Ok(done.await?.into_response())
}

/// Whether any of these names is good for a host of the site: nodes would never use it otherwise.
fn fits(site: &Site, names: &[String]) -> Result<(), Problem> {
    let document = site.current().map(|(_, document)| document);
    let mut hosts = document.into_iter().flat_map(hosts).flat_map(HostPattern::parse);
    if hosts.any(|host| names.iter().any(|name| host.meets(name))) {
        return Ok(());
    }
    let detail = "chain: the certificate is for no host of the site: its names are other ones";
    Err(Problem::invalid(detail))
}

/// A certificate whose key belongs to it, sealed.
fn checked(app: &App, site: &str, new: NewCertificate) -> Result<Certificate, Problem> {
    let NewCertificate { chain, key } = new;
    let pem = CertificatePem {
        cert: chain.clone().into_bytes(),
        key: key.clone().into_bytes(),
        cert_name: "chain".to_owned(),
        key_name: "key".to_owned(),
    };
    let now_s = app.clock.now_wall_s();
    let (read, _) = Certificates::from_pem(&[pem], now_s)
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let not_after_s = read.expiries().first().map_or(0, |expiry| expiry.not_after_wall_s);
    if not_after_s <= now_s {
        return Err(Problem::invalid("chain: the certificate has ended"));
    }
    let names = read.names();
    let sealed_key = app.seal.seal(site, &key);
    let sealed_key = sealed_key.map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
    Ok(Certificate { chain, sealed_key, not_after_s, names })
}
