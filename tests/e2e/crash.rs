//! A short crash campaign; the long one is `cargo xtask crash`.

use crate::support::alone;
use selvedge_tests::crash::Campaign;

/// Killed, damaged and started again, a node serves only what the origin sent and nobody purged.
#[test]
fn a_killed_node_comes_back_and_serves_nothing_wrong() {
    let _machine = alone();
    let campaign = Campaign { kills: 8, seed: 5, say: |_| () };
    let report = campaign.run().unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(report.recalled > 0, "nothing outlived a kill: {report:?}");
    assert!(report.purges > 0 && report.hits > 0, "{report:?}");
}
