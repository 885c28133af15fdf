//! The origin of `bench esi`: pages with tags, fragments, and fragments that take their time.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// Fragments of a page.
pub(super) const FRAGMENTS: usize = 10;
/// Fragments that nobody may keep, of another page.
pub(super) const SLOW: usize = 5;
/// What each of these takes.
pub(super) const SLOW_AFTER: Duration = Duration::from_millis(50);
const PAGE_BYTES: usize = 32 << 10;
const FRAGMENT_BYTES: usize = 1 << 10;

/// Starts it on a free port; it ends with this process.
pub(super) fn start() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // A client that goes is none of our business.
            thread::spawn(move || serve(&client));
        }
    });
    Ok(port)
}

fn serve(client: &TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut lines = BufReader::new(client).lines();
    while let Some(first) = lines.next() {
        let first = first?;
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        for line in lines.by_ref() {
            if line?.is_empty() {
                break;
            }
        }
        (&mut { client }).write_all(&answer(&path))?;
    }
    Ok(())
}

/// What a path is answered with.
fn answer(path: &str) -> Vec<u8> {
    const ESI: &str = "Surrogate-Control: content=\"ESI/1.0\"\r\n";
    let (fields, body) = match path {
        "/tags" => (ESI, with_tags("/fragment", FRAGMENTS)),
        "/no-tags" => (ESI, filler(PAGE_BYTES)),
        "/bytes" => ("", filler(PAGE_BYTES + FRAGMENTS * FRAGMENT_BYTES)),
        "/page" => ("", filler(PAGE_BYTES)),
        "/slow-tags" => (ESI, with_tags("/slow", SLOW)),
        _ => ("", filler(FRAGMENT_BYTES)),
    };
    let is_slow = path.starts_with("/slow/");
    if is_slow {
        thread::sleep(SLOW_AFTER);
    }
    let lifetime = if is_slow { "no-store" } else { "max-age=86400" };
    let mut message = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: {lifetime}\r\n{fields}\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    message.extend_from_slice(body.as_bytes());
    message
}

/// A page with so many tags spread over it.
fn with_tags(fragment: &str, tags: usize) -> String {
    let part = filler(PAGE_BYTES / (tags + 1));
    let mut page = part.clone();
    for number in 0..tags {
        page.push_str(&format!("<esi:include src=\"{fragment}/{number}\"/>"));
        page.push_str(&part);
    }
    page
}

/// So many bytes that look like HTML.
fn filler(bytes: usize) -> String {
    let line = "<li class=\"item\"><a href=\"/products/1234\">Wool</a> and <b>linen</b></li>\n";
    let mut text = line.repeat(bytes / line.len() + 1);
    text.truncate(bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_bytes_and_its_tags() {
        let page = with_tags("/fragment", FRAGMENTS);
        assert_eq!(page.matches("<esi:include").count(), FRAGMENTS);
        assert!((PAGE_BYTES - 100..PAGE_BYTES + 1_000).contains(&page.len()), "{}", page.len());
    }
}
