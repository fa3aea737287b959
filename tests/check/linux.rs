//! Records of a real trace of a Linux program, changed so that a rule about Linux programs is broken.

use abi::record::{Kind, Resolution};

use crate::mutations::{Mutation, RAX, RBX, Raw, Records, find, first, next};

/// The trace of `tests/fixtures/linux.c`.
pub const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/linux.trap");

/// Its processes.
const PARENT: u16 = 1;
const CHILD: u16 = 2;
/// What no process waits for, and a number that no process has.
const OTHER_WAIT: u32 = 7;
const NO_PROCESS: u32 = 77;

/// The first record of a page that came so, from `start` on.
fn resolved(records: &Records, start: usize, how: Resolution, page: Option<u64>) -> usize {
    find(records, start, |raw| {
        raw.kind == Kind::PageResolved
            && raw.detail & 0xFF == how as u32
            && page.is_none_or(|page| raw.words[0] == page)
    })
}

/// A page that the kernel makes accessible in a call of the parent.
fn page_of_call(records: &Records) -> Raw {
    let page = records[first(records, Kind::PageResolved, PARENT)].clone();
    Raw { detail: Resolution::Zeroed as u32 | 1 << 8, words: vec![0x1000_0000, 0x1000_0000], ..page }
}

pub const MUTATIONS: &[Mutation] = &[
    (
        "waiting",
        "a process that waits gets the CPU",
        |records| {
            let index = first(records, Kind::Woken, CHILD);
            records.remove(index);
        },
        &[],
    ),
    (
        "wakes",
        "for another reason",
        |records| {
            let index = first(records, Kind::Woken, CHILD);
            records[index].detail = records[index].detail & !0xFF | OTHER_WAIT;
        },
        &[],
    ),
    (
        "wakes",
        "by a process that does not run",
        |records| {
            let index = first(records, Kind::Woken, CHILD);
            records[index].detail = records[index].detail & 0xFFFF | NO_PROCESS << 16;
        },
        &[],
    ),
    (
        "wakes",
        "twice",
        |records| {
            let index = first(records, Kind::Woken, CHILD);
            let copy = records[index].clone();
            records.insert(index, copy);
        },
        &[],
    ),
    (
        "long-calls",
        "the kernel makes 1,025 pages accessible while the child is ready",
        |records| {
            let ready = first(records, Kind::KernelStackFilled, CHILD);
            let result = next(records, ready, Kind::SystemCallResult, PARENT);
            let pages = vec![page_of_call(records); 1025];
            records.splice(result..result, pages);
        },
        &[],
    ),
    (
        "children",
        "another RBX",
        |records| {
            let index = first(records, Kind::KernelStackFilled, CHILD);
            records[index].words[RBX] ^= 1;
        },
        &["frame-kept"],
    ),
    (
        "children",
        "another result than 0",
        |records| {
            let index = first(records, Kind::KernelStackFilled, CHILD);
            records[index].words[RAX] = 1;
        },
        &["frame-kept"],
    ),
    (
        "copies",
        "the copy is the frame itself",
        |records| {
            let page = records[resolved(records, 0, Resolution::FileCopied, None)].clone();
            let copied = resolved(records, 0, Resolution::Copied, Some(page.words[0]));
            records[copied].words[1] = page.words[1];
        },
        &[],
    ),
    (
        "copies",
        "the frame of another process",
        |records| {
            let page = records[resolved(records, 0, Resolution::FileCopied, None)].words[0];
            let copied = resolved(records, 0, Resolution::Copied, Some(page));
            let owned = resolved(records, copied, Resolution::Owned, Some(page));
            records[owned].words[1] = records[copied].words[1];
        },
        &[],
    ),
    (
        "signal-frames",
        "another RBX after the handler",
        |records| {
            let index = first(records, Kind::SignalReturned, CHILD);
            let index = next(records, index, Kind::TrapReturn, CHILD);
            records[index].words[RBX] ^= 1;
        },
        &[],
    ),
    (
        "signal-frames",
        "another RIP in the frame",
        |records| {
            let index = first(records, Kind::SignalReturned, CHILD);
            records[index].words[1] += 1;
        },
        &["frame-kept"],
    ),
    (
        "frames-free",
        "a frame is lost",
        |records| {
            let index = first(records, Kind::Memory, 0);
            records[index].words[1] -= 1;
        },
        &[],
    ),
    (
        "waiting",
        "the parent gets the CPU while it waits",
        |records| {
            let index = first(records, Kind::Woken, PARENT);
            records.remove(index);
        },
        &[],
    ),
];
