//! Calls that return facts about the machine and the process, and random bytes.

use core::arch::x86_64::__cpuid;

use abi::boot::STACK_MIB_DEFAULT;
use abi::record::emit::SequenceAborted;
use abi::syscall::errno::{EBUSY, EINVAL, EPERM, ESRCH};
use abi::syscall::signals::SIGSEGV;
use abi::syscall::values::*;

use super::frames;
use super::space::{EXECUTE, READ, SHARED, STACK, WRITE};
use super::task::{self, Task};
use super::{Outcome, files, first, life, signal, tree, user};
use crate::arch::context::Segments;
use crate::arch::cpu;
use crate::arch::trap_frame::TrapFrame;
use crate::cell::Local;
use crate::layout::{PAGE, USER_END};
use crate::trace::Emit;
use crate::{process, scheduler, timer};

/// The unit of `times` and of AT_CLKTCK.
pub const TICKS_PER_SECOND: u64 = 100;

/// AT_HWCAP: the basic features that CPUID reports.
pub fn hardware_capabilities() -> u64 {
    __cpuid(1).edx.into()
}

static SEED: Local<u64> = Local::new(0);

/// Eight unpredictable bytes, if the CPU has RDRAND. Otherwise they are computed from the TSC.
pub fn random_word() -> u64 {
    if let Some(word) = cpu::random() {
        return word;
    }
    // SplitMix64, by Steele, Lea and Flood.
    let seed = SEED.get().wrapping_add(cpu::tsc()).wrapping_add(0x9E37_79B9_7F4A_7C15);
    SEED.set(seed);
    let mixed = (seed ^ seed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// The most random bytes that one call returns. Linux too may return fewer than requested, but never fewer than 256.
const RANDOM_MAX: u64 = 4096;

pub fn fill_random(buffer: u64, count: u64) -> Outcome<u64> {
    let count = count.min(RANDOM_MAX);
    if count == 0 {
        return Ok(0);
    }
    user::reach(buffer, count, true)?;
    // SAFETY: `reach` made all of it writable.
    let bytes = unsafe { core::slice::from_raw_parts_mut(buffer as *mut u8, count as usize) };
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(first(&random_word().to_le_bytes(), part.len()));
    }
    Ok(count)
}

pub fn getrandom(buffer: u64, count: u64, flags: u64) -> Outcome<u64> {
    if flags & !7 != 0 {
        return Err(EINVAL);
    }
    fill_random(buffer, count)
}

pub fn uname(to: u64) -> Outcome<u64> {
    const FIELD: usize = 65;
    const FIELDS: [&[u8]; 6] = [b"Linux", b"trapline", b"6.1.0", b"#1 Trapline", b"x86_64", b"(none)"];
    let fields = FIELDS.map(|text| {
        let mut field = [0; FIELD];
        field.iter_mut().zip(text).for_each(|(byte, letter)| *byte = *letter);
        field
    });
    user::write(to, fields).map(|()| 0)
}

pub fn sysinfo(to: u64) -> Outcome<u64> {
    let mut words = [0_u64; 14];
    words[0] = timer::monotonic_ns() / super::time::NS_PER_SECOND;
    words[4] = u64::from(frames::count_all()) * PAGE;
    words[5] = u64::from(frames::POOL.free()) * PAGE;
    words[10] = task::groups().count() as u64;
    words[13] = 1; // the unit is bytes
    user::write(to, words).map(|()| 0)
}

const UNLIMITED: u64 = u64::MAX;
/// The number of resource limits. Those of the stack and of descriptors are enforced; the others are only stored.
pub const LIMITS: usize = 16;
const STACK_SIZE: usize = 3;
const DESCRIPTORS: usize = 7;

/// The resource limits of a program that the host starts.
pub fn first_limits() -> [[u64; 2]; LIMITS] {
    let mut limits = [[UNLIMITED; 2]; LIMITS];
    limits[STACK_SIZE] = [STACK_MAX.get(), UNLIMITED];
    limits[4] = [0, UNLIMITED];
    limits[6] = [process::SLOTS as u64; 2];
    limits[DESCRIPTORS] = [files::DESCRIPTORS as u64; 2];
    limits[8] = [8 << 20; 2];
    limits[11] = [process::SLOTS as u64; 2];
    limits[12] = [819_200; 2];
    (limits[13], limits[14]) = ([0; 2], [0; 2]);
    limits
}

/// The largest size of any main stack in bytes, which `getrlimit` returns too. It is set before the first process starts.
pub static STACK_MAX: Local<u64> = Local::new(STACK_MIB_DEFAULT << 20);

/// The largest size to which the stack of the current group may grow.
pub fn stack_limit() -> u64 {
    task::group().limits.get()[STACK_SIZE][0].min(STACK_MAX.get())
}

/// The descriptors of the current group must be below this number.
pub fn descriptor_limit() -> usize {
    task::group().limits.get()[DESCRIPTORS][0] as usize
}

pub fn prlimit(pid: u64, resource: u64, new: u64, old: u64) -> Outcome<u64> {
    if pid as u32 != 0 && pid as u32 != u32::from(task::group().id.get()) {
        return Err(ESRCH);
    }
    let mut limits = task::group().limits.get();
    let limit = limits.get_mut(resource as u32 as usize).ok_or(EINVAL)?;
    let before = *limit;
    if new != 0 {
        let [soft, hard]: [u64; 2] = user::read(new)?;
        if soft > hard {
            return Err(EINVAL);
        }
        if resource == DESCRIPTORS as u64 && hard > files::DESCRIPTORS as u64 {
            return Err(EPERM);
        }
        *limit = [soft, hard];
        task::group().limits.set(limits);
    }
    user::write_if_asked(old, before).map(|()| 0)
}

pub fn setpriority(who: u64, value: u64) -> Outcome<u64> {
    life::of_group(who, |group| {
        group.nice.set((value as i32).clamp(-20, 19));
        0
    })
}

/// The highest or lowest priority of a scheduling policy. Only the real-time policies have a range of priorities.
pub fn real_time_priority(policy: u64, value: u64) -> Outcome<u64> {
    match policy as u32 {
        1 | 2 => Ok(value),
        0 | 3 | 5 | 6 => Ok(0),
        _ => Err(EINVAL),
    }
}

/// Returns a mask with CPU 0 only, because there is one CPU.
pub fn sched_getaffinity(size: u64, to: u64) -> Outcome<u64> {
    if size < 8 || !size.is_multiple_of(8) {
        return Err(EINVAL);
    }
    user::write(to, 1_u64)?;
    Ok(8)
}

pub fn sched_setaffinity(size: u64, from: u64) -> Outcome<u64> {
    let mask: u8 = if size == 0 { 0 } else { user::read(from)? };
    if mask & 1 == 0 { Err(EINVAL) } else { Ok(0) }
}

pub fn getcpu(cpu: u64, node: u64) -> Outcome<u64> {
    user::write_if_asked(cpu, 0_u32)?;
    user::write_if_asked(node, 0_u32).map(|()| 0)
}

pub fn arch_prctl(what: u64, address: u64) -> Outcome<u64> {
    let [fs, gs] = Segments::bases();
    match u64::from(what as u32) {
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => return Err(EPERM),
        ARCH_SET_FS => Segments::set_bases([address, gs]),
        ARCH_SET_GS => Segments::set_bases([fs, address]),
        ARCH_GET_FS => user::write(address, fs)?,
        ARCH_GET_GS => user::write(address, gs)?,
        _ => return Err(EINVAL),
    }
    Ok(0)
}

pub fn prctl(what: u64, argument: u64) -> Outcome<u64> {
    match u64::from(what as u32) {
        PR_SET_NAME => {
            let name = user::string(argument, 16).or_else(|_| user::bytes(argument, 15))?;
            task::group().name.set(process::name(name));
            Ok(0)
        }
        PR_GET_NAME => user::write(argument, task::group().name.get()).map(|()| 0),
        // Dumpable, no new privileges, timer slack, subreaper: accepted, without effect.
        4 | 38 | 29 | 36 | 1 => Ok(0),
        3 => Ok(1),
        _ => Err(EINVAL),
    }
}

/// `rseq`: there is only one CPU, so its number is written once.
pub fn rseq(address: u64, size: u64, flags: u64, signature: u64) -> Outcome<u64> {
    let (new, old) = ((address, signature as u32), &task::current().rseq);
    match (flags, old.get()) {
        (RSEQ_FLAG_UNREGISTER, registered) if registered == new => {
            old.set((0, 0));
            user::write(address + 4, u32::MAX).map(|()| 0)
        }
        (0, (0, _)) if size >= 32 && address.is_multiple_of(32) => {
            user::write(address, 0_u64)?;
            old.set(new);
            Ok(0)
        }
        (0, registered) if registered == new => Err(EBUSY),
        (0 | RSEQ_FLAG_UNREGISTER, (registered, _)) if registered == address => Err(EPERM),
        _ => Err(EINVAL),
    }
}

/// Moves a task that is in a restartable sequence to its abort handler: the task lost the CPU, or gets a signal.
pub fn leave_sequence(frame: &mut TrapFrame, task: &Task) {
    let (address, signature) = task.rseq.get();
    if address == 0 {
        return;
    }
    let Ok(sequence @ 1..) = user::read::<u64>(address + 8) else { return };
    let _ = user::write(address + 8, 0_u64);
    let parts: Outcome<[u64; 4]> = user::read(sequence);
    let Ok([_, start, size, abort]) = parts else { signal::end_by_forced(SIGSEGV) };
    if frame.rip.wrapping_sub(start) < size {
        if abort >= USER_END || user::read(abort.wrapping_sub(4)) != Ok(signature) {
            signal::end_by_forced(SIGSEGV);
        }
        SequenceAborted { rip: frame.rip, abort }.emit();
        frame.rip = abort;
    }
}

/// Reads `/proc/self/maps` from an offset on. The text is generated again for each call.
pub fn read_maps(offset: u64, buffer: u64, count: u64) -> Outcome<u64> {
    let mut text = Text { skip: offset, buffer, left: count, done: 0 };
    let program = tree::path(task::group().program.get());
    let space = task::space();
    for mapping in space.mappings() {
        // A line takes milliseconds on a host that emulates ring 0.
        scheduler::pause();
        let flags = mapping.flags();
        text.hexadecimal(mapping.start(), 8)?;
        text.put(b"-")?;
        text.hexadecimal(mapping.end(), 8)?;
        text.put(b" ")?;
        for (bit, letter) in [(READ, b"r"), (WRITE, b"w"), (EXECUTE, b"x")] {
            text.put(if flags & bit != 0 { letter } else { b"-" })?;
        }
        text.put(if flags & SHARED != 0 { b"s" } else { b"p" })?;
        text.put(b" 00000000 00:00 0 ")?;
        if flags & STACK != 0 {
            text.put(b"                         [stack]")?;
        } else if mapping.start() == space.heap_start.get() {
            text.put(b"                          [heap]")?;
        } else if mapping.is_of_file() {
            text.put(b"                         ")?;
            text.put(program)?;
        }
        text.put(b"\n")?;
    }
    Ok(text.done)
}

/// Generated text, of which a part is copied to the process.
struct Text {
    /// The number of bytes to skip before that part.
    skip: u64,
    buffer: u64,
    /// The number of bytes that can still be copied, and that were copied.
    left: u64,
    done: u64,
}

impl Text {
    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        let skipped = self.skip.min(bytes.len() as u64);
        self.skip -= skipped;
        let now = first(bytes.get(skipped as usize..).unwrap_or_default(), self.left as usize);
        user::copy_to(self.buffer + self.done, now)?;
        self.left -= now.len() as u64;
        self.done += now.len() as u64;
        Ok(())
    }

    /// Appends a number with at least `least` digits.
    fn hexadecimal(&mut self, number: u64, least: usize) -> Outcome<()> {
        let mut digits = [0; 16];
        let mut start = digits.len();
        let mut rest = number;
        while rest != 0 || digits.len() - start < least {
            start -= 1;
            digits[start] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
        }
        self.put(digits.get(start..).unwrap_or_default())
    }
}

/// `getresuid` and `getresgid`: every user and group is 0.
pub fn root_thrice(to: [u64; 3]) -> Outcome<u64> {
    to.into_iter().try_for_each(|to| user::write(to, 0_u32)).map(|()| 0)
}
