//! The sandbox works: a forbidden call ends the process, and a thread has only the rights that the documents name.

use std::fs::File;
use std::process::{Command, Stdio};

use trace::Trace;

use crate::handmade;
use crate::inside::{self, ALLOWED, DEEDS};
use crate::support::{self, Need, Suite, TestResult, binary, ensure, folder, trapline};

/// Adds the tests of this file.
pub fn add(suite: Suite) -> Suite {
    suite
        .pure("sandbox::a_forbidden_call_ends_the_process", a_forbidden_call_ends_the_process)
        .pure("sandbox::a_thread_in_it_has_no_rights", a_thread_in_it_has_no_rights)
        .pure("sandbox::a_thread_may_free_its_heap", a_thread_may_free_its_heap)
        .needs(&[Need::Landlock], "sandbox::other_files_cannot_be_read", other_files_cannot_be_read)
        .kvm("sandbox::every_thread_of_a_run_is_in_it", every_thread_of_a_run_is_in_it)
        .kvm("sandbox::inherited_descriptors_are_closed", inherited_descriptors_are_closed)
        .kvm("sandbox::without_it_a_run_says_so", without_it_a_run_says_so)
        .kvm("sandbox::a_run_may_boot_again", a_run_may_boot_again)
}

fn a_forbidden_call_ends_the_process() -> TestResult {
    let folder = folder();
    File::create(folder.path().join(ALLOWED))?;
    for role in ["run", "writer", "read", "make"] {
        for (deed, _) in DEEDS {
            let status = inside::command(role, deed).current_dir(folder.path()).status()?;
            ensure(inside::was_killed(status), || format!("{role} may do this: {deed} ({status})"))?;
        }
    }
    Ok(())
}

fn a_thread_in_it_has_no_rights() -> TestResult {
    let folder = folder();
    File::create(folder.path().join(ALLOWED))?;
    for role in ["run", "read", "make"] {
        let output = inside::command(role, "status").current_dir(folder.path()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in
            ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
        {
            ensure(text.contains(line), || format!("{role}: no {line:?} in {text}"))?;
        }
    }
    Ok(())
}

fn a_thread_may_free_its_heap() -> TestResult {
    let status = inside::command("writer", inside::HEAP).status()?;
    ensure(status.success(), || status.to_string())
}

fn other_files_cannot_be_read() -> TestResult {
    let folder = folder();
    File::create(folder.path().join(ALLOWED))?;
    for role in ["run", "read"] {
        let output = inside::command(role, "open").current_dir(folder.path()).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure(text == "None Some(PermissionDenied)\n", || format!("{role}: {text}"))?;
    }
    Ok(())
}

/// Starts a program that never ends, waits for its first line, and returns what `/proc` says of each thread.
fn while_it_runs(line: &str, look: impl Fn(u32) -> TestResult) -> TestResult {
    let folder = folder();
    let out = folder.path().join("out");
    let line = line.replace("TRAPLINE", &binary().display().to_string());
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .spawn()?;
    while !std::fs::read_to_string(&out)?.contains('\n') && child.try_wait()?.is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let looked = look(child.id());
    child.kill()?;
    child.wait()?;
    looked
}

fn every_thread_of_a_run_is_in_it() -> TestResult {
    while_it_runs("exec TRAPLINE run hello hog --trace t.trap", |process| {
        let mut names = Vec::new();
        // The writer enters when it handles its first record, which is written after 50 ms.
        std::thread::sleep(std::time::Duration::from_millis(300));
        for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let status = std::fs::read_to_string(thread?.path().join("status"))?;
            let name = status.lines().next().unwrap_or_default().to_owned();
            // KVM has its own kernel thread in the process.
            if name.contains("kvm-") {
                continue;
            }
            names.push(name);
            for line in ["CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
                ensure(status.contains(line), || format!("no {line:?} in {status}"))?;
            }
        }
        ensure(names.len() == 2, || format!("{names:?}"))
    })
}

fn inherited_descriptors_are_closed() -> TestResult {
    while_it_runs("exec 7</proc/version; exec TRAPLINE run hello hog --trace t.trap", |process| {
        let mut left = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{process}/fd"))? {
            left.push(std::fs::read_link(entry?.path())?.display().to_string());
        }
        ensure(!left.iter().any(|name| name == "/proc/version"), || format!("{left:?}"))?;
        // Three streams, two descriptors of the trace, the vCPU, and the VM, by which standard input interrupts the
        // guest.
        ensure(left.len() <= 7, || format!("{left:?}"))
    })
}

fn without_it_a_run_says_so() -> TestResult {
    let folder = folder();
    let output = trapline(folder.path(), &["run", "hello", "--no-sandbox"])?.expect(0)?;
    ensure(output.stderr.contains("no sandbox"), || format!("{output:#?}"))?;
    let output = trapline(folder.path(), &["run", "hello"])?.expect(0)?;
    ensure(!output.stderr.contains("sandbox"), || format!("{output:#?}"))?;
    trapline(folder.path(), &["run", "hello", "--sandbox=log"])?.expect(0).map(drop)
}

fn a_run_may_boot_again() -> TestResult {
    let folder = folder();
    std::fs::write(folder.path().join("crash.elf"), handmade::kernel(&handmade::TRIPLE_FAULT))?;
    let arguments = ["run", "hello", "--kernel", "crash.elf", "--restart-on-crash=2", "--trace", "t.trap"];
    trapline(folder.path(), &arguments)?.expect(33)?;
    for name in ["t.trap", "t-2.trap", "t-3.trap"] {
        let trace = Trace::open(&folder.path().join(name))?;
        ensure(trace.damage().is_empty(), || format!("{name}: {:?}", trace.damage()))?;
    }
    let none = support::trapline(folder.path(), &["run", "nosuch", "--restart-on-crash=2"])?;
    none.expect(2).map(drop)
}
