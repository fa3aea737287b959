//! What an event costs the host in system calls: one ioctl, KVM_RUN, as strace counts them.

use std::process::Command;

use trace::{Trace, What};

use crate::support::{self, Need, Suite, TestResult, ensure};

/// The most ioctls that setting up a VM and reading KVM's counts may take; not one of them is made per event.
const SET_UP_MAX: u64 = 40;

/// Adds the test of this file.
pub fn add(suite: Suite) -> Suite {
    suite.needs(&[Need::Kvm, Need::Tool("strace")], "an_event_costs_one_ioctl", an_event_costs_one_ioctl)
}

fn an_event_costs_one_ioctl() -> TestResult {
    let folder = support::folder();
    let log = folder.path().join("ioctls");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=ioctl", "-e", "signal=none", "-o"]).arg(&log);
    strace.arg(support::binary()).args(["run", "counter 200", "--batch", "1", "--trace", "t.trap"]);
    support::command(strace.current_dir(folder.path()), folder.path())?.expect(0)?;

    let log = std::fs::read_to_string(log)?;
    let ioctls = log.lines().filter(|line| line.contains("ioctl(")).count() as u64;
    let runs = log.lines().filter(|line| line.contains("KVM_RUN")).count() as u64;
    let exits: u64 = Trace::open(&folder.path().join("t.trap"))?
        .events()
        .map(|event| if let What::HostExits { count, .. } = event.what { count } else { 0 })
        .sum();
    ensure(exits > 10 * SET_UP_MAX, || format!("{exits} exits are too few to tell anything"))?;
    ensure(runs == exits, || format!("{runs} KVM_RUN for {exits} exits"))?;
    ensure(ioctls - runs <= SET_UP_MAX, || format!("{} ioctls beside {runs} KVM_RUN", ioctls - runs))
}
