//! The demo as it is: started, read, ended.

use crate::log::Lines;
use crate::node::binary;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A running demo. Dropping it ends it, and its parts with it.
#[derive(Debug)]
pub struct Demo {
    /// The usual ports are looked for and then used: two demos that start at once find the same.
    _alone: MutexGuard<'static, ()>,
    child: Child,
    out: Lines,
    err: Lines,
}

impl Demo {
    /// Starts it and waits until it says what to try.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(|command| command)
    }

    /// The same, with other arguments or variables.
    #[must_use]
    #[track_caller]
    pub fn start_with(change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = Command::new(binary());
        command.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().expect("the binary starts");
        let out = Lines::gather(child.stdout.take().expect("stdout is piped"));
        let err = Lines::gather(child.stderr.take().expect("stderr is piped"));
        let demo = Self { _alone: alone, child, out, err };
        let runs = demo.out.wait(0, |line| line.starts_with("Ctrl-C stops it all"));
        assert!(runs.is_some(), "{:#?}", demo.err.all());
        demo
    }

    /// Where a part runs, as the demo prints it.
    #[must_use]
    #[track_caller]
    pub fn place(&self, part: &str) -> String {
        let line = self.line(&format!("  {part}"));
        let place = line.trim_start_matches(&format!("  {part}")).split_whitespace().next();
        place.expect("it says where").to_owned()
    }

    /// A line that it has printed.
    #[must_use]
    #[track_caller]
    pub fn line(&self, begins: &str) -> String {
        let lines = self.out.all();
        let found = lines.iter().find(|line| line.starts_with(begins));
        found.unwrap_or_else(|| panic!("no {begins:?} in {lines:#?}")).clone()
    }

    /// What it says while it runs.
    #[must_use]
    pub fn says(&self) -> &Lines {
        &self.err
    }

    /// The processes that it has started.
    #[must_use]
    pub fn parts(&self) -> Vec<u32> {
        let pid = self.child.id();
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let list = list.unwrap_or_default();
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Those of them that run this program.
    #[must_use]
    pub fn parts_called(&self, program: &str) -> Vec<u32> {
        let runs = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == program
        };
        self.parts().into_iter().filter(runs).collect()
    }

    /// Ctrl-C.
    #[track_caller]
    pub fn interrupt(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("the demo runs");
        let mut ended = None;
        let child = &mut self.child;
        assert!(crate::eventually(|| {
            ended = child.try_wait().expect("the child can be asked");
            ended.is_some()
        }));
        ended.expect("it has ended")
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Its parts end with it.
        self.kill();
    }
}
