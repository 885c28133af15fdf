//! Rows of `[purge]`: who may have stored responses dropped, and how many purges are remembered.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::key::{Kind, Shape, count, list, section};

section! {
    /// Who may purge: with the method PURGE, or with `POST /purge` at `admin.listen`.
    Purge = "purge", Shape::One;

    from: Vec<IpNet> = list(&Kind::Network, 1024), (= ["127.0.0.0/8", "::1/128"]), Reload,
        "Networks from which purges are taken.",
        "From everywhere else they are answered 403, and so are those that were relayed by someone \
         who is not in `listen.trust`. An empty list takes none.";

    token_file: Option<PathBuf> = Kind::File, (none "the address is enough"), Reload,
        "File with a token that purges must bring.",
        "As `Authorization: Bearer TOKEN`, beside coming from a listed network; else they are \
         answered 401. White space around the token does not count. A relative path begins at the \
         folder of this file. Read again on each reload.";

    remember: usize = count(16, 16_000_000), (= 1_000_000), Restart,
        "Most purges that are remembered.",
        "Purges that nothing stored is older than are forgotten anyway. When there are more than \
         this, what is older than the oldest that are remembered is validated with the origin \
         before it answers again. Each takes about 70 bytes.";
}
