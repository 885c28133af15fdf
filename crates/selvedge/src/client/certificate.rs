//! `selvedge certificate`: the certificate of a site. The key goes to control and never comes back.

use super::api::Call;
use super::fault::Fault;
use super::table::{Table, cell, moment};
use super::{Common, Session, context, site};
use http::Method;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) const EXAMPLE: &str = "Example:\n  \
    selvedge certificate put shop --cert fullchain.pem --key privkey.pem";

/// What `certificate` needs.
#[derive(Debug, clap::Args)]
pub(crate) struct CertificateArgs {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: CertificateCommand,
}

/// What to do with the certificate of a site.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum CertificateCommand {
    /// Give a site a certificate, in place of the one before
    Put {
        /// The site
        site: String,
        /// The certificate and its chain (PEM)
        #[arg(long, value_name = "FILE")]
        cert: PathBuf,
        /// Its private key (PEM)
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// For which names it is, and until when
    Show {
        /// The site
        site: String,
    },
    /// Take it away
    Remove {
        /// The site
        site: String,
    },
}

/// Does what `certificate` was asked for.
pub(super) async fn run(session: &Session, command: &CertificateCommand) -> Result<(), Fault> {
    let of = |site: &str| format!("{}/certificate", site::of(site));
    match command {
        CertificateCommand::Put { site, cert, key } => {
            let (chain, key) = (context::read_file(cert)?, context::read_file(key)?);
            let call = Call::new(Method::PUT, of(site)).json(json!({ "chain": chain, "key": key }));
            session.show(&session.api.call(&call).await?, show)
        }
        CertificateCommand::Show { site } => session.show(&session.api.get(&of(site)).await?, show),
        CertificateCommand::Remove { site } => {
            let answer = session.api.call(&Call::new(Method::DELETE, of(site))).await?;
            session.done(&answer, &format!("{site} has no certificate of its own now"))
        }
    }
}

fn show(value: &Value) -> String {
    Table::pairs(&[
        ("site", cell(&value["site"])),
        ("names", cell(&value["names"])),
        ("until", moment(value, "not_after")),
        ("revision", cell(&value["revision"])),
    ])
}
