//! The counters of the node that belong to no site, declared once in a table.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use crate::counters::counters;

counters! {
    /// The counters of the node.
    NodeCounters
    plain {
        config_reloads, "", "Configurations taken over while running";
        config_reloads_refused, "", "Configurations refused while running";
        access_log_lines, "", "Access-log lines handed to the writer";
        access_log_dropped, "", "Access-log lines dropped because the writer was behind";
        access_log_errors, "", "Writes to the access log that failed";
    }
    words {
        refusals, "Requests refused before a site was known, by reason";
        connections_closed, "Client connections closed by the node, by reason";
    }
    own {
        /// Whether the node takes traffic.
        ready: AtomicBool,
        /// The number of the running configuration.
        config_revision: AtomicU64,
        /// When the running configuration was taken over, seconds since 1970.
        config_loaded_s: AtomicI64,
        /// Whether the last configuration offered was taken over.
        config_good: AtomicBool,
    }
}
