//! Rows of `[control]`: where a node gets its sites from when they are not in its file.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::key::{Kind, Shape, duration, list, section};
use crate::text::Name;
use crate::url::Url;

section! {
    /// A control plane that this node follows: it takes the place of `[[site]]`.
    Control = "control", Shape::One;

    url: Option<Url> = Kind::Url, (none "the sites are the `[[site]]` of this file"), Restart,
        "Where control is.",
        "Sites, their certificates, pushed content and purges come from there. The node goes on \
         with what it last heard when control cannot be reached, also across a restart.";

    token_file: Option<PathBuf> = Kind::File,
        (none "the node must have joined already"), Restart,
        "File with a token to join with.",
        "It is used once; from then on the node has a token of its own in `state`. White space \
         around the token does not count. A relative path begins at the folder of this file.";

    state: Option<PathBuf> = Kind::Folder, (none "there must be one with `url`"), Restart,
        "Folder for who this node is and what it last heard.",
        "It is made if it is not there, and holds secrets: only the user that runs the process \
         should be able to read it. A folder belongs to one process.";

    region: Name = Kind::Name, (= "default"), Restart,
        "Region this node stands in.",
        "What control calls regions: prefetches and reports go by it.";

    urls: Vec<Url> = list(&Kind::Url, 16), (= []), Restart,
        "URLs by which others reach this node.",
        "Told to control when the node joins, for whoever wants to fetch through this node.";

    addresses: Vec<IpAddr> = list(&Kind::Ip, 16), (= []), Restart,
        "Addresses at which clients reach this node.",
        "Told to control when the node joins, and by control to the DNS servers: clients are sent \
         there. Without any nobody is sent here.";

    health: Option<Url> = Kind::Url, (none "DNS servers cannot ask how it is"), Restart,
        "URL by which DNS servers reach `admin.listen` of this node.",
        "They ask for `/health` there.";

    ca_file: Option<PathBuf> = Kind::File, (none "only the certificates of the system"), Restart,
        "File with certificates to trust beside those of the system, in PEM.",
        "For connections to control.";

    lag_max: Duration = duration("1s", "1h"), (= "10s"), Reload,
        "How long control may be silent before the node says that it is not ready.",
        "It goes on serving; whoever sends traffic here can see in `/readyz` that purges may not \
         have come.";
}
