//! Can this host run a VM, and if not, why, and what should the user do?
//!
//! Only opening the device answers that: its permission bits can be wrong, for example in a container that shows a device
//! which it may not open.

use std::arch::x86_64::__cpuid;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use kvm_ioctls::{Cap, Kvm};
use nix::sys::statvfs::{FsFlags, statvfs};
use thiserror::Error;

/// KVM's device.
pub const DEVICE: &str = "/dev/kvm";
/// The API version that every KVM has had since 2007.
const API_VERSION: i32 = kvm_bindings::KVM_API_VERSION as i32;

/// The capabilities that a run needs, with their names in the kernel's documentation.
pub const NEEDED: [(Cap, &str); 7] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ"),
    (Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::SyncRegs, "KVM_CAP_SYNC_REGS"),
];

/// The modules that can be KVM's back end on x86.
const BACK_ENDS: [&str; 3] = ["kvm_intel", "kvm_amd", "kvm_pvm"];

/// Why a host has no usable KVM. The text says why, and what to do.
#[derive(Debug, Error)]
pub enum Missing {
    /// The device does not exist, or it has no driver.
    #[error("this host has no KVM: {device} {found}; {remedy}")]
    NoDevice {
        /// The device.
        device: PathBuf,
        /// What was found instead.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The device exists, but this user may not open it.
    #[error(
        "no permission to open {device}; {remedy}, or in a container pass the device in (--device {device})"
    )]
    NoPermission {
        /// The device.
        device: PathBuf,
        /// What the user should do.
        remedy: &'static str,
        /// The error of the call.
        #[source]
        error: io::Error,
    },
    /// Another hypervisor uses the CPU's virtualization.
    #[error(
        "KVM is busy: another hypervisor, such as VirtualBox or VMware, uses the CPU's virtualization; stop its virtual \
         machines and try again"
    )]
    Busy {
        /// The error of the call.
        #[source]
        error: io::Error,
    },
    /// Another file has the device's name.
    #[error("{device} is not a KVM device; remove it and load the module: sudo modprobe {}", modprobe())]
    NotKvm {
        /// The device.
        device: PathBuf,
        /// The error of the call.
        #[source]
        error: io::Error,
    },
    /// KVM has another API version.
    #[error(
        "{device} has version {found} of the KVM API, but Trapline needs version {API_VERSION}; use Linux 4.16 or later"
    )]
    WrongVersion {
        /// The device.
        device: PathBuf,
        /// Its version.
        found: i32,
    },
    /// KVM lacks a capability that Trapline needs.
    #[error("this host's KVM lacks {name}, which Trapline needs; Linux 4.16 or later has it")]
    NoCapability {
        /// The capability's name in the kernel's documentation.
        name: &'static str,
    },
    /// The host has no descriptor or memory left.
    #[error(
        "cannot open {device}; end other programs, or raise the limits of this one (`ulimit -n`, `ulimit -v`)"
    )]
    Exhausted {
        /// The device.
        device: PathBuf,
        /// The error of the call.
        #[source]
        error: io::Error,
    },
    /// Any other error.
    #[error("cannot open {device}; {}", remedy_of(error))]
    Other {
        /// The device.
        device: PathBuf,
        /// The error of the call.
        #[source]
        error: io::Error,
    },
}

impl Missing {
    /// Whether the host has no usable KVM, as opposed to a usable KVM that failed this time.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Missing::Exhausted { .. })
    }
}

/// Opens KVM and makes sure that it has what a run needs.
pub fn open() -> Result<Kvm, Missing> {
    let kvm = open_device(Path::new(DEVICE))?;
    match NEEDED.iter().find(|(capability, _)| !kvm.check_extension(*capability)) {
        Some((_, name)) => Err(Missing::NoCapability { name }),
        None => Ok(kvm),
    }
}

/// Opens the device at `path` and makes sure that it is KVM.
pub fn open_device(path: &Path) -> Result<Kvm, Missing> {
    let device = path.to_path_buf();
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| diagnose(device.clone(), error))?;
    // SAFETY: the descriptor is open, and `into_raw_fd` released it, so `Kvm` is its only owner.
    let kvm = unsafe { Kvm::from_raw_fd(file.into_raw_fd()) };
    match kvm.get_api_version() {
        API_VERSION => Ok(kvm),
        -1 => Err(Missing::NotKvm { device, error: io::Error::last_os_error() }),
        found => Err(Missing::WrongVersion { device, found }),
    }
}

/// The reason why KVM is unusable, from the error of opening it or of creating a VM.
pub fn diagnose(device: PathBuf, error: io::Error) -> Missing {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Missing::NoDevice { device, found: "does not exist", remedy: remedy() },
        Some(libc::ENXIO | libc::ENODEV) => {
            Missing::NoDevice { device, found: "has no driver", remedy: remedy() }
        }
        Some(libc::EACCES | libc::EPERM) => {
            Missing::NoPermission { remedy: remedy_of_permission(&device), device, error }
        }
        Some(libc::EBUSY) => Missing::Busy { error },
        _ if is_exhaustion(&error) => Missing::Exhausted { device, error },
        Some(libc::EISDIR | libc::ENOTTY) => Missing::NotKvm { device, error },
        _ => Missing::Other { device, error },
    }
}

/// What keeps a user from opening a device that exists.
fn remedy_of_permission(device: &Path) -> &'static str {
    const OF_GROUP: u32 = 0o060;
    let is_nodev = statvfs(device).is_ok_and(|system| system.flags().contains(FsFlags::ST_NODEV));
    let is_roots = device.metadata().is_ok_and(|of| of.mode() & OF_GROUP != OF_GROUP || of.gid() == 0);
    if is_nodev {
        "its file system is mounted with nodev: mount it without nodev (sudo mount -o remount,dev /dev)"
    } else if is_roots {
        "only root may open it: give it to the group kvm (sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm) and join that group (sudo \
         usermod -aG kvm $USER, then log in again)"
    } else {
        "join the group that owns it (on most systems: sudo usermod -aG kvm $USER, then log in again)"
    }
}

/// Whether the host, or this process's share of it, has no descriptor or memory left.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

/// What the user should do about an error of KVM.
pub(super) fn remedy_of(error: &io::Error) -> &'static str {
    if is_exhaustion(error) {
        "end other programs, or raise the limits of this one (`ulimit -n`, `ulimit -v`)"
    } else {
        "`trapline doctor` checks what this host's KVM can do"
    }
}

/// The module that is KVM's back end here, such as `kvm_amd`, or `unknown`.
pub fn back_end() -> &'static str {
    BACK_ENDS.into_iter().find(|module| Path::new("/sys/module").join(module).exists()).unwrap_or("unknown")
}

/// Whether this host is a virtual machine itself: hypervisors set this bit.
pub fn is_virtual() -> bool {
    const HYPERVISOR: u32 = 1 << 31;
    __cpuid(1).ecx & HYPERVISOR != 0
}

/// The leaf of CPUID whose EAX is the highest extended leaf (SDM vol. 2, CPUID).
const EXTENDED: u32 = 0x8000_0000;

/// What the CPU offers for virtualization: `vmx`, `svm`, or nothing.
pub fn cpu_extension() -> Option<&'static str> {
    const VMX: u32 = 1 << 5;
    const SVM: u32 = 1 << 2;
    if __cpuid(1).ecx & VMX != 0 {
        return Some("vmx");
    }
    let extended = __cpuid(EXTENDED).eax > EXTENDED;
    (extended && __cpuid(EXTENDED + 1).ecx & SVM != 0).then_some("svm")
}

/// The CPU's name: the brand string from three extended leaves, or nothing.
pub fn cpu_name() -> String {
    const BRAND: RangeInclusive<u32> = EXTENDED + 2..=EXTENDED + 4;
    if __cpuid(EXTENDED).eax < *BRAND.end() {
        return String::new();
    }
    let registers = BRAND.map(__cpuid).flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx]);
    let bytes: Vec<u8> = registers.flat_map(u32::to_le_bytes).collect();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()
}

/// Whether this looks like the inside of a container.
pub fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
        || std::env::var_os("container").is_some()
}

/// What to do if the device does not exist.
fn remedy() -> &'static str {
    if in_container() {
        return "this is a container: start it with --device /dev/kvm, on a host that has KVM";
    }
    if Path::new("/sys/module/kvm").exists() && back_end() != "unknown" {
        return "the module is loaded, but the device node is missing: create it with sudo mknod /dev/kvm c 10 232";
    }
    match cpu_extension() {
        Some("vmx") => "load the module: sudo modprobe kvm_intel",
        Some(_) => "load the module: sudo modprobe kvm_amd",
        None => {
            "the CPU has neither vmx nor svm: turn on virtualization in the firmware settings, or, if this is a virtual \
             machine, turn on nested virtualization for it"
        }
    }
}

/// The module that fits this CPU.
fn modprobe() -> &'static str {
    if cpu_extension() == Some("vmx") { "kvm_intel" } else { "kvm_amd" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let missing = open_device(&directory.path().join("kvm")).err().unwrap();
        assert!(matches!(missing, Missing::NoDevice { .. }), "{missing}");
        assert!(missing.to_string().contains("does not exist"), "{missing}");
    }

    #[test]
    fn things_that_are_not_kvm() {
        for path in ["/dev/null", "/"] {
            let missing = open_device(Path::new(path)).err().unwrap();
            assert!(matches!(missing, Missing::NotKvm { .. }), "{path}: {missing}");
        }
    }

    #[test]
    fn each_error_of_an_open_has_its_reason() {
        let diagnose = |errno| diagnose(DEVICE.into(), io::Error::from_raw_os_error(errno));
        assert!(matches!(diagnose(libc::ENOENT), Missing::NoDevice { .. }));
        assert!(matches!(diagnose(libc::ENXIO), Missing::NoDevice { .. }));
        assert!(matches!(diagnose(libc::EACCES), Missing::NoPermission { .. }));
        assert!(matches!(diagnose(libc::EPERM), Missing::NoPermission { .. }));
        assert!(matches!(diagnose(libc::EBUSY), Missing::Busy { .. }));
        assert!(matches!(diagnose(libc::EIO), Missing::Other { .. }));
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOMEM] {
            assert!(!diagnose(errno).is_lasting());
        }
        assert!(diagnose(libc::EACCES).to_string().contains("usermod"));
    }
}
