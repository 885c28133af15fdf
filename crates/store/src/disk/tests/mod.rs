//! Tests of the disk tier as a whole, on real files.

mod basics;
mod damage;
mod faults;
mod full;
mod many;
mod restart;
mod rig;
mod shrink;
