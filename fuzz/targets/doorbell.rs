//! Any writes to the ports of the doorbell, with any bytes in the guest's memory: each is accepted or ends the run with a
//! message, and the trace can be read. The input is a list of actions, each a number and its operands.

#![no_main]

use abi::ports::{ATTACH, DOORBELL};
use abi::record::{BUFFER_MAGIC, BufferHead};
use libfuzzer_sys::fuzz_target;
use trace::{Meta, Trace, Writer};
use trapline::devices::Doorbell;
use trapline::machine::bus::{Device, Flow};
use trapline::machine::layout::{MEMORY_MIN_MIB, Memory, PAGE, reserve};
use vm_memory::{Bytes, GuestAddress};

thread_local! {
    static MEMORY: Memory = reserve(MEMORY_MIN_MIB).expect("memory for a guest");
}

/// The trace ends at this size.
const TRACE_MAX: u64 = 1 << 20;
/// The buffer, and the part of memory that the actions change.
const HEAD: u64 = PAGE;
const SIZE: usize = 2 * PAGE as usize;

fuzz_target!(|actions: &[u8]| MEMORY.with(|memory| ring(memory, actions)));

fn ring(memory: &Memory, actions: &[u8]) {
    memory.write_slice(&[0; SIZE], GuestAddress(HEAD)).expect("it is in memory");
    let path = trapline_fuzz::folder().join(format!("{}.trap", std::process::id()));
    let writer = Writer::create(&path, true, &Meta::default()).expect("TMPDIR has room for a file");
    let mut guest = Guest { memory, doorbell: Doorbell::new(memory, writer, TRACE_MAX), records: 0 };
    let mut actions = actions;
    while let Some(Flow::Continue) = guest.act(&mut actions) {}
    guest.doorbell.stop();
    let is_whole = guest.doorbell.missing() == 0;
    guest.doorbell.into_trace().expect("no write failed").finish().expect("TMPDIR has room for a file");
    let trace = Trace::open(&path).expect("what the host wrote");
    assert!(!is_whole || trace.damage().is_empty(), "a trace that lacks nothing has no damage");
    trace.events().for_each(drop);
}

struct Guest<'a> {
    memory: &'a Memory,
    doorbell: Doorbell<'a>,
    records: u64,
}

impl Guest<'_> {
    /// Takes one action off the list. None: the list is at its end.
    fn act(&mut self, list: &mut &[u8]) -> Option<Flow> {
        let [action, one, two, three, four, rest @ ..] = *list else { return None };
        *list = rest;
        let word = u16::from_le_bytes([*one, *two]);
        let value = u32::from_le_bytes([*one, *two, *three, *four]);
        match action % 5 {
            0 => return Some(self.doorbell.write(ATTACH, 4, value)),
            1 => return Some(self.doorbell.write(DOORBELL, 4, value)),
            2 => {
                let (bytes, rest) = rest.split_at(rest.len().min((*three).into()));
                *list = rest;
                let at = HEAD + u64::from(word) % (SIZE - 0xFF) as u64;
                self.memory.write_slice(bytes, GuestAddress(at)).expect("it is in memory");
            }
            3 => {
                self.set_head(value, 0);
                return Some(self.doorbell.write(ATTACH, 4, (HEAD / PAGE) as u32));
            }
            _ => {
                self.records += u64::from(*three);
                self.memory.write_obj(u32::from(word), GuestAddress(HEAD + 12)).expect("it is in memory");
                self.memory.write_obj(self.records, GuestAddress(HEAD + 16)).expect("it is in memory");
                return Some(self.doorbell.write(DOORBELL, 4, word.into()));
            }
        }
        Some(Flow::Continue)
    }

    /// Writes a right head with this capacity.
    fn set_head(&self, capacity: u32, used: u32) {
        let version = u32::from(abi::VERSION) | (BufferHead::SIZE as u32) << 16;
        let words = [BUFFER_MAGIC, version, capacity & !7, used];
        let bytes = words.map(u32::to_le_bytes).concat();
        self.memory.write_slice(&bytes, GuestAddress(HEAD)).expect("it is in memory");
    }
}
