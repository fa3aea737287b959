//! `trapline doctor`: can this host run Trapline, and if not, what should the user do?

use std::io::{self, Write};
use std::path::Path;

use kvm_ioctls::{Cap, Kvm};
use serde::Serialize;

use super::run::WITHOUT_KVM;
use super::terminal;
use crate::engine::qemu;
use crate::machine::host;
use crate::machine::layout::{self, MEMORY_MIN_MIB};
use crate::machine::vcpu::Vm;
use trace::text::put_wrapped;

/// Check whether this computer can run Trapline, and say what to do if not.
#[derive(clap::Args, Debug)]
#[command(after_help = "Exit codes: 0 it can; 77 it cannot, and the lines with FAIL say what to do.")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One check of the host.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    detail: String,
}

/// The results of all checks.
#[derive(Debug, Serialize)]
struct Diagnosis {
    usable: bool,
    back_end: &'static str,
    cpu: String,
    tsc_khz: Option<u64>,
    checks: Vec<Check>,
}

/// Optional capabilities, and the use of each.
const OPTIONAL: [(Cap, &str); 2] = [
    (Cap::TscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER, for --timer deadline"),
    (Cap::SetGuestDebug, "KVM_CAP_SET_GUEST_DEBUG, for debuggers"),
];

/// Runs the command; the value is the exit code.
pub fn execute(args: &Args) -> anyhow::Result<u8> {
    let diagnosis = diagnose();
    let mut output = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut output, &diagnosis).map_err(io::Error::from)?;
        writeln!(output)?;
    } else {
        output.write_all(text(&diagnosis, terminal::width_of_lines()).as_bytes())?;
    }
    Ok(if diagnosis.usable { super::OK } else { super::NO_KVM })
}

fn diagnose() -> Diagnosis {
    let mut diagnosis = Diagnosis {
        usable: false,
        back_end: host::back_end(),
        cpu: host::cpu_name(),
        tsc_khz: None,
        checks: vec![],
    };
    match host::open_device(Path::new(host::DEVICE)) {
        Err(missing) => diagnosis.add("KVM", Err(format!("{:#}", anyhow::Error::from(missing)))),
        Ok(kvm) => {
            diagnosis.add(
                "KVM",
                Ok(format!("{} can be opened; its back end is {}", host::DEVICE, diagnosis.back_end)),
            );
            diagnosis.look_closer(&kvm);
        }
    }
    diagnosis.usable = diagnosis.checks.iter().all(|check| check.ok);
    // QEMU is the alternative to KVM. No run on KVM needs it.
    diagnosis.add(
        "QEMU",
        Ok(match qemu::version() {
            Ok(version) => {
                format!("version {version} is on PATH: `trapline run --accel qemu` works without KVM")
            }
            Err(error) => {
                format!("{:#}; only `trapline run --accel qemu` needs it", anyhow::Error::from(error))
            }
        }),
    );
    diagnosis
}

impl Diagnosis {
    fn add(&mut self, name: &'static str, found: Result<String, String>) {
        let ok = found.is_ok();
        self.checks.push(Check { name, ok, detail: found.unwrap_or_else(|fault| fault) });
    }

    fn look_closer(&mut self, kvm: &Kvm) {
        for (capability, name) in host::NEEDED {
            let missing = host::Missing::NoCapability { name };
            let there = kvm.check_extension(capability);
            self.add("capability", if there { Ok(name.into()) } else { Err(missing.to_string()) });
        }
        for (capability, purpose) in OPTIONAL {
            let there = if kvm.check_extension(capability) { "available" } else { "not available" };
            self.add("optional", Ok(format!("{purpose}: {there}")));
        }
        let found = self.make_vm(kvm).map_err(|error| format!("{error:#}"));
        self.add("virtual machine", found);
    }

    /// The decisive test: creates a VM with memory and a vCPU.
    fn make_vm(&mut self, kvm: &Kvm) -> anyhow::Result<String> {
        let vm = Vm::new(kvm, layout::reserve(MEMORY_MIN_MIB)?)?;
        let khz = vm.vcpu.tsc_khz()?;
        self.tsc_khz = Some(khz);
        Ok(format!("created, with a vCPU; the TSC frequency is {khz} kHz"))
    }
}

fn text(diagnosis: &Diagnosis, width: usize) -> String {
    let mut text = String::new();
    for Check { name, ok, detail } in &diagnosis.checks {
        text.push_str(if *ok { "ok" } else { "FAIL" });
        put_wrapped(&mut text, &format!("{name}: {detail}"), "FAIL  ".len(), width);
    }
    text.push('\n');
    put_wrapped(&mut text, &format!("CPU: {}", diagnosis.cpu), 0, width);
    let verdict = if diagnosis.usable {
        "This computer can run Trapline: try `trapline run`."
    } else {
        "This computer cannot run Trapline yet: the lines with FAIL say what to do."
    };
    put_wrapped(&mut text, verdict, 0, width);
    if !diagnosis.usable {
        put_wrapped(&mut text, WITHOUT_KVM, 0, width);
    }
    text
}
