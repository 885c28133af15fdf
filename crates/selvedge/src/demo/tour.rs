//! What the demo prints when it runs: where everything is, and what to try.

use super::places::{Ports, REGIONS};
use super::video::{Libraries, NAMES};
use std::path::Path;

/// All of it; `pids` are those of the spare edges, `player` what [`player`] says.
pub(super) fn text(ports: &Ports, folder: &Path, pids: &[u32], player: &str) -> String {
    let (places, caches) = (places(ports, folder), caches(ports, folder));
    format!("{places}{caches}{player}{}", names(ports, folder, pids))
}

/// Where video is, and what is missing for it.
pub(super) fn player(
    ports: &Ports,
    folder: &Path,
    has_ffmpeg: bool,
    libraries: &Libraries,
) -> String {
    if !has_ffmpeg {
        return "Video: ffmpeg is not here: install it (apt-get install ffmpeg)\n\n".to_owned();
    }
    let (edge, edge_admin, files) = (ports.edge, ports.edge_admin, folder.display());
    let players = match libraries.names() {
        none if none.is_empty() => format!(
            "what the browser plays by itself; for more, in a folder of your own:\n\
             \x20   npm install --prefix DIR {NAMES} && selvedge demo --players DIR"
        ),
        names => names,
    };
    format!(
        "Video, as HLS and DASH: a live channel, and a clip as soon as it says that it is \
         ready:\n\n\
         \x20 http://{edge}/player    # with {players}\n\
         \x20 curl -s http://{edge}/live/media_0.m3u8    # again: it has moved\n\
         \x20 curl -si http://{edge}/video/0-00007.m4s -o /dev/null -D -    # a segment, kept\n\
         \x20 ffplay http://{edge}/live/master.m3u8\n\
         \x20 selvedge streams --admin {edge_admin}    # who watches what\n\
         \x20 curl -si http://{edge}/members/master.m3u8    # 403: for signed URLs alone\n\
         \x20 selvedge sign http://{edge}/members/master.m3u8 --prefix /members/ --expires 1h \\\n\
         \x20     --key {files}/sign/demo.key --site news\n\n"
    )
}

fn places(ports: &Ports, folder: &Path) -> String {
    let Ports { origin, control, parent, parent_admin, edge, edge_tls, edge_admin, .. } = ports;
    let Ports { dns, dns_admin, .. } = ports;
    let spare = |spare: &super::places::Spare| {
        let name = format!("edge {}", spare.region.name);
        format!("\x20 {name:<9} http://{}  admin http://{}\n", spare.http, spare.admin)
    };
    let spares: String = ports.spares.iter().map(spare).collect();
    format!(
        "\nA CDN on loopback: client -> edge -> parent -> origin, told what to do by control;\n\
         a DNS server sends each client to the edge of its region\n\n\
         \x20 edge {eu}   http://{edge}  https://{edge_tls}  admin http://{edge_admin}\n\
         {spares}\
         \x20 parent    http://{parent}  admin http://{parent_admin}\n\
         \x20 origin    http://{origin}\n\
         \x20 control   http://{control}  reference http://{control}/docs\n\
         \x20 dns       {dns} (UDP and TCP)  admin http://{dns_admin}\n\
         \x20 files     {folder}\n\n",
        eu = REGIONS[0].name,
        folder = folder.display(),
    )
}

fn caches(ports: &Ports, folder: &Path) -> String {
    let Ports { control, edge, edge_tls, edge_admin, .. } = ports;
    let tls_port = edge_tls.port();
    let shop = format!("-k --connect-to www.shop.test:443:{edge_tls} https://www.shop.test");
    format!(
        "Try, and look at Cache-Status and Age:\n\n\
         \x20 curl -sik https://localhost:{tls_port}/ | head -20      # asked of the origin\n\
         \x20 curl -sik https://localhost:{tls_port}/ | head -20      # answered by the edge\n\
         \x20 curl -si {shop}/clock\n\
         \x20 curl -si -H 'Host: www.shop.test' http://{edge}/cart    # private: never kept\n\
         \x20 curl -si -H 'Accept-Language: de' http://{edge}/hello   # one variant a language\n\
         \x20 curl -si -r 9000000-9000099 http://{edge}/film.bin -o /dev/null -D -\n\
         \x20 selvedge cache --admin {edge_admin} inspect http://{edge}/film.bin\n\
         \x20 curl -si -b user=ada http://{edge}/front        # made of parts (ESI)\n\
         \x20 curl -si --compressed http://{edge}/style.css -o /dev/null -D -\n\
         \x20 curl -s http://{edge_admin}/metrics | grep selvedge_requests\n\n\
         The client of control, in the same terminal as curl:\n\n\
         \x20 export SELVEDGE_CONTROL=http://{control} \
         SELVEDGE_TOKEN_FILE={folder}/control/admin.token\n\
         \x20 selvedge status\n\
         \x20 selvedge push ./public --site shop\n\
         \x20 selvedge purge --tag film.bin --site news --wait\n\
         \x20 selvedge explain http://www.shop.test/\n\n",
        folder = folder.display(),
    )
}

fn names(ports: &Ports, folder: &Path, pids: &[u32]) -> String {
    let dns = ports.dns;
    let dig = format!("dig @{} -p {}", dns.ip(), dns.port());
    let mut lines = String::new();
    for region in &REGIONS {
        let client = region.clients[0];
        let ask = format!("{dig} +short +subnet={client} shop.cdn.test");
        lines.push_str(&format!("\x20 {ask:<68} # a client in {}\n", region.name));
    }
    let us = &ports.spares[0];
    let pid = pids.first().copied().unwrap_or_default();
    format!(
        "Where clients are sent; a customer's name is a CNAME to shop.cdn.test:\n\n{lines}\
         \x20 {dig} +dnssec shop.cdn.test    # with its signature\n\
         \x20 selvedge dnssec --config {folder}/dns.toml ds    # for the zone above\n\
         \x20 selvedge explain dns shop.cdn.test --client {client} --admin {admin}\n\
         \x20 kill -9 {pid}    # the edge in the us is gone: soon dig says so\n\
         \x20 selvedge edge --config {folder}/{part}.toml    # back, with its clients by and by\n\n\
         Ctrl-C stops it all.\n",
        admin = ports.dns_admin,
        client = us.region.clients[0],
        folder = folder.display(),
        part = us.part,
    )
}
