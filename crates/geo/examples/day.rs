//! Plays the day of the simulation under every policy and prints what came of it:
//! `cargo run --release -p selvedge-geo --features simulation --example day -- seed 2 flash 4`.
//! With `form json` it prints everything, minute by minute, for `cargo xtask sim dns`.
#![allow(clippy::print_stdout, reason = "it is for reading")]

use selvedge_geo::sim::{Earth, Event, Outcome, Policy, Scenario, run};
use serde_json::{Value, json};

fn main() {
    let (mut scenario, mut is_json) = (Scenario::day(), false);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { panic!("{pair:?} has no value") };
        if name == "form" {
            is_json = value == "json";
        } else {
            set(&mut scenario, name, value.parse().expect("a number"));
        }
    }
    let outcomes = Policy::ALL.map(|policy| run(&scenario, policy));
    if is_json {
        println!("{}", everything(&scenario, &outcomes));
    } else {
        table(&outcomes);
    }
}

fn set(scenario: &mut Scenario, name: &str, value: f64) {
    match name {
        "ttl" => (scenario.ttl_s, scenario.law.ttl_s) = (value, value),
        "believed" => scenario.law.ttl_s = value,
        "sense" => scenario.law.sense_s = value,
        "shed" => scenario.law.shed_s = value,
        "recover" => scenario.law.recover_ttls = value,
        "lead" => scenario.law.lead = value,
        "deadband" => scenario.law.deadband = value,
        "soft" => scenario.limits.soft = value,
        "hard" => scenario.limits.hard = value,
        "seed" => scenario.seed = value as u64,
        "flash" => scenario.flash = scenario.flash.map(|(event, _)| (event, value)),
        "peak" => scenario.peak = value,
        _ => panic!("unknown: {name}"),
    }
}

/// The day, its events and what came of it.
fn everything(scenario: &Scenario, outcomes: &[Outcome]) -> Value {
    let earth = Earth::new(scenario);
    let event = |what: String, event: &Event| {
        let region = earth.regions[event.region].0;
        let (begins, ends) = (event.begins_s / 60.0, (event.begins_s + event.lasts_s) / 60.0);
        json!({ "what": what, "region": region, "begins_minute": begins, "ends_minute": ends })
    };
    let flash = scenario.flash.iter().map(|(it, times)| event(format!("{times} times"), it));
    let loss = scenario.loss.iter().map(|it| event("gone".to_owned(), it));
    json!({
        "seed": scenario.seed,
        "ttl_s": scenario.ttl_s,
        "regions": earth.regions.len(),
        "nodes": earth.regions.len() * earth.nodes_per_region,
        "soft": scenario.limits.soft,
        "hard": scenario.limits.hard,
        "minutes": scenario.seconds / 60,
        "events": flash.chain(loss).collect::<Vec<_>>(),
        "outcomes": outcomes,
    })
}

fn table(outcomes: &[Outcome]) {
    println!("policy   worst  node  over_s  overflow%   lost% needless%  moves hit_loss%");
    for outcome in outcomes {
        println!(
            "{:8} {:5.2} {:5.2} {:7.0} {:9.4} {:7.4} {:9.3} {:6.2} {:9.4}",
            outcome.policy,
            outcome.worst_region,
            outcome.worst_node,
            outcome.overloaded_s,
            outcome.overflowed * 100.0,
            outcome.lost * 100.0,
            outcome.needless * 100.0,
            outcome.moves,
            outcome.hit_loss * 100.0,
        );
    }
}
