//! Before anything is measured: every server must give what the database says, for clients by their
//! subnet and by their own address. Nobody is fast by being wrong.

use std::collections::BTreeSet;

use super::database::Countries;
use super::load::{Random, ask};
use super::packet::{Query, Subnet, addresses};
use super::servers::Contestant;
use super::world::{World, ZONE};
use crate::failure::Failure;
use crate::say;

/// How many clients of each kind are tried.
const SAMPLE: usize = 200;
/// Part of them that must get what is right: nearly all, since servers may round in their own ways
/// what they know of a subnet.
const RIGHT: f64 = 0.99;
/// Countries that the clients must come from at least.
const COUNTRIES: usize = 5;

/// Tries all servers.
pub(super) fn check(
    contestants: &[&Contestant],
    countries: &Countries,
    world: &World,
) -> Result<(), Failure> {
    for subnet in [Subnet::Told, Subnet::Absent] {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let mut clients = Vec::new();
        let mut from = BTreeSet::new();
        while clients.len() < SAMPLE {
            let client = match subnet {
                Subnet::Told => random.client(),
                Subnet::Absent => random.loopback(),
            };
            if let Some(country) = countries.find(client) {
                clients.push((client, world.addresses(Some(&country))));
                from.insert(country);
            }
        }
        if from.len() < COUNTRIES {
            return Err(Failure::new(format!("the sample is of {from:?} only")));
        }
        for contestant in contestants {
            let mut wrong = Vec::new();
            let query = Query::new(&format!("www.{ZONE}"), subnet);
            for (client, expected) in &clients {
                let source = match subnet {
                    Subnet::Told => std::net::Ipv4Addr::LOCALHOST,
                    Subnet::Absent => *client,
                };
                let answer = ask(contestant.address, &query, source, *client)?;
                let found = addresses(&answer).unwrap_or_default();
                if found != *expected {
                    wrong.push(format!("{client}: {found:?}, not {expected:?}"));
                }
            }
            let right = SAMPLE - wrong.len();
            let (name, count) = (contestant.name, from.len());
            say(&format!("  {name:14} {subnet:?}: {right} of {SAMPLE} right, {count} countries"));
            if (right as f64) < RIGHT * SAMPLE as f64 {
                wrong.truncate(5);
                let wrong = wrong.join("\n");
                return Err(Failure::new(format!("{name} answers wrongly:\n{wrong}")));
            }
        }
    }
    Ok(())
}
