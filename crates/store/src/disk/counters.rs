//! What the disk tier counts, for others to export.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::counters::CounterKind;

macro_rules! counters {
    ($($field:ident $kind:ident $name:literal $help:literal)*) => {
        /// Counters of the disk tier, all disks together. Reading is always safe, never waits.
        #[derive(Debug, Default)]
        pub struct DiskCounters {
            $(#[doc = $help] pub $field: AtomicU64,)*
        }

        impl DiskCounters {
            /// Calls `f` with name, help, kind and value of every counter, in a fixed order.
            pub fn each(&self, f: &mut dyn FnMut(&'static str, &'static str, CounterKind, u64)) {
                $(f($name, $help, CounterKind::$kind, self.$field.load(Relaxed));)*
            }
        }
    };
}

counters! {
    records Gauge "disk_records" "Records on disk."
    bytes Gauge "disk_bytes" "Bytes of records on disk with headers and padding."
    capacity_bytes Gauge "disk_capacity_bytes" "Bytes that segments may take."
    disks Gauge "disk_disks" "Disks in use."
    disks_read_only Gauge "disk_disks_read_only" "Disks that take no writes."
    index_bytes Gauge "disk_index_bytes" "Memory of the index."
    queue_bytes Gauge "disk_queue_bytes" "Bytes that wait for the writers."
    puts Counter "disk_puts_total" "Records taken."
    overflowed Counter "disk_queue_overflows_total" "Records dropped: too many waited."
    unadmitted Counter "disk_unadmitted_total" "Records kept off: not asked for before."
    refused Counter "disk_refused_total" "Records dropped: too long, or no disk takes writes."
    removals Counter "disk_removals_total" "Keys removed."
    reads Counter "disk_reads_total" "Reads answered with bytes."
    reads_waited Counter "disk_reads_waited_total" "Reads that had to wait for a disk."
    reads_refused Counter "disk_reads_refused_total" "Reads not done: too many waited."
    reads_missing Counter "disk_reads_missing_total" "Reads of records that had gone meanwhile."
    corrupt Counter "disk_corrupt_total" "Records forgotten: a checksum did not match."
    read_errors Counter "disk_read_errors_total" "Reads that failed."
    write_errors Counter "disk_write_errors_total" "Writes that failed."
    disks_lost Counter "disk_disks_lost_total" "Disks given up while running."
    written_bytes Counter "disk_written_bytes_total" "Bytes written to segments."
    reclaimed Counter "disk_segments_reclaimed_total" "Segments emptied for new records."
    evictions Counter "disk_evictions_total" "Records pushed out for room."
    moved Counter "disk_moved_total" "Records kept when their segment was emptied."
    over_quota Counter "disk_over_quota_total" "Records dropped: their site was over its maximum."
    snapshots Counter "disk_snapshots_total" "Snapshots of the index written."
}

impl DiskCounters {
    /// Counts one.
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}
