//! Debian packages that a command needs: installed by name when this may install, else named in
//! one line for the person who may.

use std::path::Path;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{Task, is_program};
use crate::say;

/// A package and the program by which its presence is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
}

const fn package(name: &'static str, program: &'static str) -> Package {
    Package { name, program }
}

/// What the gate needs.
pub(crate) const FOR_TESTS: &[Package] = &[
    package("nginx", "nginx"),
    package("curl", "curl"),
    package("openssl", "openssl"),
    package("nghttp2-client", "h2load"),
    package("nodejs", "node"),
    package("npm", "npm"),
    package("util-linux", "setpriv"),
    package("python3", "python3"),
    package("bind9-dnsutils", "dig"),
    package("knot-dnsutils", "kdig"),
    package("dnsperf", "dnsperf"),
    package("dnsviz", "dnsviz"),
    package("zonemaster-cli", "zonemaster-cli"),
    package("iproute2", "ip"),
    package("faketime", "faketime"),
    package("ffmpeg", "ffmpeg"),
    package("chromium", "chromium"),
];

/// What the benchmarks need.
pub(crate) const FOR_BENCH: &[Package] = &[
    package("nginx", "nginx"),
    package("varnish", "varnishd"),
    package("trafficserver", "traffic_server"),
    package("wrk", "wrk"),
    package("nghttp2-client", "h2load"),
    package("curl", "curl"),
    package("openssl", "openssl"),
    package("util-linux", "taskset"),
];

/// What the benchmark of DNS needs.
pub(crate) const FOR_DNS: &[Package] = &[
    package("gdnsd", "gdnsd"),
    package("knot", "knotd"),
    package("npm", "npm"),
    package("util-linux", "taskset"),
];

/// Sees to it that all packages are there.
pub(crate) fn ensure(packages: &[Package]) -> Result<(), Failure> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|package| !is_program(package.program))
        .map(|package| package.name)
        .collect();
    install(&missing)
}

/// Installs packages by name, or says what to install.
pub(crate) fn install(missing: &[&str]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::getuid().is_root() || !is_program("apt-get") {
        return Err(Failure::new(format!(
            "please install first: sudo apt-get install -y --no-install-recommends {list}"
        )));
    }
    say(&format!("installing from Debian: {list}"));
    // Packaged services must not start: the tests run their own instances.
    let _quiet = ServicesStayDown::new()?;
    let limit = Duration::from_secs(600);
    let apt = |arguments: &[&str]| {
        Task::new("apt-get", arguments).variable("DEBIAN_FRONTEND", "noninteractive").limit(limit)
    };
    apt(&["update", "-q"]).output()?;
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(missing);
    apt(&arguments).output()?;
    Ok(())
}

/// While it lives, invoke-rc.d refuses to start services of packages that are being installed.
struct ServicesStayDown {
    /// Whether the policy is ours to remove.
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl ServicesStayDown {
    fn new() -> Result<Self, Failure> {
        use std::os::unix::fs::PermissionsExt;
        let path = Path::new(POLICY);
        if path.exists() {
            return Ok(Self { ours: false });
        }
        let quiet = Self { ours: true };
        std::fs::write(path, "#!/bin/sh\nexit 101\n").map_err(Failure::at(path))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        Ok(quiet)
    }
}

impl Drop for ServicesStayDown {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_are_there_need_nothing() {
        assert!(ensure(&[package("dash", "sh")]).is_ok());
    }
}
