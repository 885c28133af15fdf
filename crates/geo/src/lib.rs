//! Who is near whom, and how much each place can take: coverage maps, MMDB files, distances, the
//! order of regions for a client, shares by load, and the nodes of a site. Pure: files are handed
//! in as bytes, time as a number.

pub mod address;
pub mod atlas;
pub mod config;
pub mod countries;
pub mod coverage;
mod error;
pub mod explain;
pub mod flow;
pub mod hash;
pub mod health;
pub mod load;
mod mmdb;
pub mod places;
pub mod ranking;
pub mod regions;
pub mod shares;
#[cfg(any(test, feature = "simulation"))]
pub mod sim;
mod sitenames;
mod spans;
pub mod spread;
pub mod steering;
pub mod table;
pub mod world;

pub use error::{Error, FAULTS_MAX, Fault};
