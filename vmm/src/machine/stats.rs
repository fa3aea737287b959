//! KVM's own counts of a vCPU, from its binary statistics file.
//!
//! The file starts with a header that says where the descriptors and the data lie (Linux,
//! `Documentation/virt/kvm/api.rst`, KVM_GET_STATS_FD). A count that this KVM does not have is `None`.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};

use kvm_ioctls::VcpuFd;

/// `_IO(KVMIO, 0xce)`.
pub const KVM_GET_STATS_FD: libc::Ioctl = 0xAECE;
/// Size of a descriptor before its name: flags, exponent, size, offset, bucket size.
const DESCRIPTOR: usize = 16;
/// A vCPU's file has a few KiB: room to read it at once.
const FILE_USUAL: usize = 16 << 10;
/// The most that is read.
const FILE_MAX: u64 = 1 << 20;

/// What KVM counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvmCounts {
    /// VM exits, most of them never seen by user space.
    pub exits: Option<u64>,
    /// Interrupts injected.
    pub interrupts: Option<u64>,
    /// Instructions emulated.
    pub emulated: Option<u64>,
}

/// The counts of this vCPU.
pub fn read(vcpu: &VcpuFd) -> KvmCounts {
    // SAFETY: the ioctl takes no argument and returns a new descriptor or -1.
    let fd = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_GET_STATS_FD) };
    if fd < 0 {
        return KvmCounts::default();
    }
    // SAFETY: KVM has just created this descriptor, and nothing else owns it.
    let file = unsafe { File::from_raw_fd(fd) };
    let mut bytes = Vec::with_capacity(FILE_USUAL);
    // A file that ends early leaves counts out, which is what `None` is for.
    let _ = file.take(FILE_MAX).read_to_end(&mut bytes);
    KvmCounts {
        exits: count(&bytes, "exits"),
        interrupts: count(&bytes, "irq_injections"),
        emulated: count(&bytes, "insn_emulation"),
    }
}

/// The count of this name, in a statistics file.
fn count(file: &[u8], name: &str) -> Option<u64> {
    let [name_size, descriptors, _, start, data] = [4, 8, 12, 16, 20].map(|at| word(file, at));
    let (name_size, start, data) = (name_size? as usize, start? as usize, data? as usize);
    let table = file.get(start..)?.chunks_exact(DESCRIPTOR + name_size).take(descriptors? as usize);
    let descriptor = table.into_iter().find(|descriptor| {
        let text = &descriptor[DESCRIPTOR..];
        text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    })?;
    let at = data.checked_add(word(descriptor, 8)? as usize)?;
    Some(u64::from_le_bytes(file.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with two counts, `exits` and `exits_more`.
    fn file() -> Vec<u8> {
        const NAME: u32 = 16;
        let mut file: Vec<u8> = [0, NAME, 2, 24, 24, 88].iter().flat_map(|w: &u32| w.to_le_bytes()).collect();
        for (name, offset) in [("exits_more", 0_u32), ("exits", 8)] {
            file.extend([0_u32, 1, offset, 0].iter().flat_map(|word| word.to_le_bytes()));
            let mut text = name.as_bytes().to_vec();
            text.resize(NAME as usize, 0);
            file.extend(text);
        }
        file.extend([7_u64, 9].iter().flat_map(|value| value.to_le_bytes()));
        file
    }

    #[test]
    fn a_count_is_found_by_its_whole_name() {
        assert_eq!(count(&file(), "exits"), Some(9));
        assert_eq!(count(&file(), "exits_more"), Some(7));
        assert_eq!(count(&file(), "exit"), None);
    }

    #[test]
    fn a_cut_file_has_no_counts_and_does_no_harm() {
        let file = file();
        for end in 0..file.len() {
            assert_eq!(count(&file[..end], "exits"), None, "cut at {end}");
        }
    }
}
