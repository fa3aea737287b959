//! The check on made-up events: its sums do not wrap, and its work grows no faster than the trace.

use abi::ports::INPUT_VECTOR;
use abi::record::{
    ARGUMENTS, CONTEXT, Ending, FIRST_RETURN, HostCounter, Policy, REGISTERS, Reason, Resolution, Wait,
};
use abi::syscall::Call;

use super::*;
use crate::file::{Boot, Frame};

const KHZ: u64 = 2_000_000;

/// Events as they are made, a microsecond apart.
#[derive(Default)]
struct Made {
    events: Vec<Event>,
    guest: u64,
    host: u64,
}

impl Made {
    fn add(&mut self, process: u16, what: What) -> &mut Made {
        let is_host = what.kind() >= abi::record::FIRST_HOST_KIND;
        let (origin, next) =
            if is_host { (Origin::Host, &mut self.host) } else { (Origin::Guest, &mut self.guest) };
        let nanoseconds = 1000 * self.events.len() as u64;
        let tsc = nanoseconds * KHZ / 1_000_000;
        self.events.push(Event { sequence: *next, origin, tsc, nanoseconds, process, what });
        *next += 1;
        self
    }

    fn policy(&mut self, quantum_us: u64) -> &mut Made {
        self.add(0, What::Boot(Boot::Scheduler { policy: Policy::RoundRobin, quantum_us, batch: 1 }))
    }

    fn create(&mut self, process: u16) -> &mut Made {
        let created = What::ProcessCreated { structure: 1, cr3: 2, kernel_stack_top: 3, program: [b'p'; 16] };
        self.add(process, created).add(process, What::KernelStackFilled { frame: USER })
    }

    fn switch(&mut self, from: u16, to: u16) -> &mut Made {
        let (structure, context, from_number) = (1, [0; CONTEXT.len()], from.into());
        self.add(from, What::ContextSaved { reason: Reason::Yielded, structure, context });
        self.add(
            to,
            What::ContextLoaded { from: from_number, structure, context, cr3: 2, kernel_stack_top: 3 },
        )
    }

    fn enter(&mut self, process: u16, vector: u8) -> &mut Made {
        let mut frame = Frame { vector: vector.into(), ..USER };
        // RDI: a call is of standard output.
        frame.registers[ARGUMENTS[0]] = 1;
        let what = What::TrapEntry { arrived: vector, frame, handler_flags: 2, cr2: 0, arrived_rip: 0 };
        self.add(process, what)
    }

    fn leave(&mut self, process: u16, vector: u8) -> &mut Made {
        self.add(process, What::TrapReturn { frame: Frame { vector: vector.into(), ..USER } })
    }

    fn end(&mut self) -> &mut Made {
        self.add(0, What::HostEnd { exit_code: 0, ending: Ending::Exited, status: 0, rip: 0 })
    }

    fn check(&self, tsc_khz: u64) -> Report {
        let mut check = Check::new(tsc_khz);
        self.events.iter().for_each(|event| check.see(event));
        check.report(&[])
    }
}

/// A frame of a first return to user mode.
const USER: Frame = Frame {
    address: 0,
    registers: [0; REGISTERS.len()],
    vector: FIRST_RETURN,
    error_code: 0,
    rip: 0x40_1000,
    cs: 0x23,
    rflags: 0x202,
    rsp: 0x7fff_0000,
    ss: 0x1b,
};

fn verdict(report: &Report, name: &str) -> Verdict {
    report.findings.iter().find(|finding| finding.name == name).expect("such a rule").verdict
}

#[test]
fn more_bells_than_exits_of_ports_are_a_violation() {
    let mut made = Made::default();
    made.add(0, What::HostCount { counter: HostCounter::Doorbells, value: u64::MAX });
    made.add(0, What::HostExits { reason: 2, count: 5, guest_ns: 0, host_ns: 0 });
    assert_eq!(verdict(&made.check(KHZ), "count-exits"), Verdict::Fail);
}

#[test]
fn console_bytes_are_counted_beyond_64_bits() {
    let mut made = Made::default();
    let call = What::SystemCall { number: Call::write as u64 };
    for _ in 0..4 {
        let result = What::SystemCallResult { number: Call::write as u32, result: i64::MAX };
        made.enter(1, 0xFE).add(1, call).add(1, result).leave(1, 0xFE);
    }
    // The sum wrapped to 64 bits.
    let value = (i64::MAX as u64).wrapping_mul(4);
    made.add(0, What::HostCount { counter: HostCounter::ConsoleBytes, value }).end();
    assert_eq!(verdict(&made.check(KHZ), "count-console"), Verdict::Fail);
}

#[test]
fn the_console_has_the_streams_too_where_they_are_not_counted_apart() {
    let console = What::HostCount { counter: HostCounter::ConsoleBytes, value: 3 };
    let streams = |value| What::HostCount { counter: HostCounter::StreamBytes, value };
    let page = What::PageResolved { how: Resolution::Zeroed, by_kernel: false, page: 0, frame: 0 };
    for (is_linux, counts, expected) in [
        (false, &[console][..], Verdict::Fail),
        (true, &[console], Verdict::Pass),
        (true, &[streams(0), console], Verdict::Pass),
        (true, &[streams(1), console], Verdict::Fail),
    ] {
        let mut made = Made::default();
        made.create(1);
        if is_linux {
            made.add(1, page);
        }
        counts.iter().fold(&mut made, |made, count| made.add(0, *count)).end();
        assert_eq!(verdict(&made.check(KHZ), "count-console"), expected, "{is_linux} {counts:?}");
    }
}

#[test]
fn a_new_thread_of_a_linux_program_writes_to_a_stream() {
    let mut made = Made::default();
    let call = What::SystemCall { number: Call::write as u64 };
    let result = What::SystemCallResult { number: Call::write as u32, result: 5 };
    made.create(2).add(2, What::Cloned { parent: 1, flags: 0, is_thread: true });
    made.enter(2, 0xFE).add(2, call).add(2, result).leave(2, 0xFE);
    for (counter, value) in [(HostCounter::StreamBytes, 5), (HostCounter::ConsoleBytes, 0)] {
        made.add(0, What::HostCount { counter, value });
    }
    made.end();
    assert_eq!(verdict(&made.check(KHZ), "count-console"), Verdict::Pass);
}

#[test]
fn only_a_process_that_waits_may_be_left_by_a_deadlock() {
    for waits in [true, false] {
        let mut made = Made::default();
        made.policy(1000).create(1).switch(0, 1).enter(1, 0xFE);
        if waits {
            made.add(1, What::Blocked { wait: Wait::PipeEmpty, object: 0, until_tsc: u64::MAX });
        }
        let report = made.add(0, What::Deadlock { processes: 1 }).end().check(KHZ);
        for rule in ["entry-return", "steps-end"] {
            assert_eq!(verdict(&report, rule) != Verdict::Fail, waits, "{rule}");
        }
    }
}

#[test]
fn any_quantum_and_rate_make_no_turn_too_long() {
    // In 64 bits, a second at this rate is 0 cycles, and so is twenty times this quantum.
    let (khz, quantum_us) = (1 << 61, 1 << 62);
    let mut made = Made::default();
    made.policy(quantum_us).create(1).create(2).switch(0, 1);
    made.add(1, What::TrapReturn { frame: USER });
    made.enter(1, 0x20);
    let report = made.check(khz);
    assert_eq!(verdict(&report, "turn"), Verdict::Pass);
    assert_eq!(verdict(&report, "timer-silent"), Verdict::Pass);
}

#[test]
fn the_time_of_a_turn_is_counted_beyond_64_bits() {
    let mut made = Made::default();
    made.policy(1000).create(1).create(2).switch(0, 1);
    made.add(1, What::TrapReturn { frame: USER });
    // A turn of one and a half times 2^64 cycles. At this rate, a second is a little less than 2^64.
    for _ in 0..2 {
        made.events.last_mut().expect("a return").tsc = 0;
        made.enter(1, 0xFE).events.last_mut().expect("an entry").tsc = 3 << 62;
        made.leave(1, 0xFE);
    }
    assert_eq!(verdict(&made.check(1 << 54), "turn"), Verdict::Fail);
    assert_eq!(verdict(&made.check(1 << 55), "turn"), Verdict::Pass);
}

#[test]
fn a_frame_does_not_lie_round_the_end_of_memory() {
    let mut made = Made::default();
    let (structure, cr3, name) = (1, 2, [b'p'; 16]);
    made.add(1, What::ProcessCreated { structure, cr3, kernel_stack_top: 16, program: name });
    let frame = Frame { address: 16_u64.wrapping_sub(40), vector: 0x20, ..USER };
    made.add(1, What::TrapEntry { arrived: 0x20, frame, handler_flags: 2, cr2: 0, arrived_rip: 0 });
    assert_eq!(verdict(&made.check(KHZ), "kernel-stack"), Verdict::Fail);
}

#[test]
fn a_process_that_is_passed_over_too_often_is_named() {
    let mut made = Made::default();
    made.policy(1000).create(1).create(2).create(3).switch(0, 1);
    for _ in 0..13 {
        made.switch(1, 2).switch(2, 1);
    }
    let report = made.check(KHZ);
    let never = report.findings.iter().find(|finding| finding.name == "never-chosen").expect("the rule");
    // Eight turns for each of the three processes may go to others. Here 27 did.
    assert_eq!((never.violations, never.tested), (3, 27));
    let message = &never.first.as_ref().expect("a violation").message;
    assert!(message.starts_with("process 3 is ready, but 25 turns went to others"), "{message}");
}

#[test]
fn the_ends_of_many_processes_pass_over_no_process_that_is_ready() {
    let mut made = Made::default();
    made.policy(1000);
    (1..=90).for_each(|process| _ = made.create(process));
    for process in 2..=90 {
        made.switch(process - 1, process).add(process, What::ProcessExited { status: 0 });
    }
    made.switch(90, 1);
    assert_eq!(verdict(&made.check(KHZ), "never-chosen"), Verdict::Pass);
}

#[test]
fn input_wakes_a_process_while_another_one_runs() {
    for (vector, expected) in [(INPUT_VECTOR, Verdict::Pass), (0x20, Verdict::Fail)] {
        let mut made = Made::default();
        made.policy(1000).create(1).create(2).switch(0, 1);
        made.add(1, What::Blocked { wait: Wait::Input, object: 0, until_tsc: u64::MAX }).switch(1, 2);
        made.enter(2, vector).add(1, What::Woken { wait: Wait::Input, object: 0, by: 0 });
        assert_eq!(verdict(&made.check(KHZ), "wakes"), expected);
    }
}

#[test]
fn a_process_that_sleeps_in_the_middle_of_its_work_may_have_freed_its_pages() {
    for (sleeps, expected) in [(true, Verdict::Pass), (false, Verdict::Fail)] {
        let page = |how| What::PageResolved { how, by_kernel: false, page: 0x1000, frame: 0x9000 };
        let mut made = Made::default();
        made.policy(1000).create(1).switch(0, 1).add(1, page(Resolution::Zeroed));
        made.add(2, What::Cloned { parent: 1, flags: 0, is_thread: false });
        if sleeps {
            made.add(2, What::Sleep { until_tsc: 0 });
        }
        made.add(1, page(Resolution::Owned));
        assert_eq!(verdict(&made.check(KHZ), "copies"), expected, "{sleeps}");
    }
}

/// Adds records of `n` processes, a few times `n` of them.
type Fill = fn(&mut Made, u16);

/// Traces that took long to check before, or might.
const WORKLOADS: [(&str, Fill); 6] = [
    ("round robin", |made, n| {
        for id in 1..n {
            made.enter(id, 0x20).add(id, What::Tick { ticks: id.into() });
            made.switch(id, id + 1).leave(id + 1, 0x20);
        }
    }),
    ("two take turns, and the others wait", |made, n| {
        (1..n).for_each(|_| {
            made.switch(1, 2).switch(2, 1);
        });
    }),
    ("all sleep and wake", |made, n| {
        for id in 1..n {
            made.add(id, What::Sleep { until_tsc: 0 }).switch(id, 0).add(0, What::Idle {});
        }
        (1..n).for_each(|id| {
            made.add(id, What::Wake { wanted_tsc: 0 }).switch(0, id);
        });
    }),
    ("records are missing before each record", |made, n| {
        for id in 1..n {
            made.guest += 1;
            made.add(id, What::Sleep { until_tsc: 0 });
        }
    }),
    ("every call is left open", |made, n| {
        let call = What::SystemCall { number: 1 };
        (1..n).for_each(|id| {
            made.enter(id, 0xFE).add(id, call);
        });
    }),
    ("all end", |made, n| {
        for id in 1..n {
            made.add(id, What::ProcessExited { status: 0 }).add(id, What::ProcessFreed { frames: 1 });
        }
    }),
];

#[test]
fn the_work_grows_no_faster_than_the_trace() {
    let work = |fill: Fill, processes: u16| {
        let mut made = Made::default();
        made.policy(1000);
        (1..=processes).for_each(|id| {
            made.create(id);
        });
        fill(&mut made, processes);
        made.end();
        let mut check = Check::new(KHZ);
        made.events.iter().for_each(|event| check.see(event));
        let lost = lost(&check.machine);
        assert!(lost.iter().all(|sentence| sentence.len() < 200), "{lost:?}");
        let looked_at = check.machine.looked_at.clone();
        let report = check.report(&[]);
        let named = report.processes.len();
        assert!(named < 100, "{named} processes are named");
        looked_at.get()
    };
    for (name, fill) in WORKLOADS {
        let (few, many) = (work(fill, 200), work(fill, 800));
        assert!(many <= 5 * few, "{name}: {few} steps, and {many} for four times the processes");
    }
}
