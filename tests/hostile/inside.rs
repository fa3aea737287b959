//! A process in the sandbox that makes one system call. The process is this test program, started again with a variable
//! set.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use trapline::sandbox::{Files, Mode, Role, Sandbox};

/// The role and the action, separated by a blank.
const VARIABLE: &str = "TRAPLINE_TEST_INSIDE";
/// The file that the process may read.
pub const ALLOWED: &str = "allowed";

/// The action of a thread that uses much of its heap and frees it.
pub const HEAP: &str = "heap";

/// Makes a system call, and returns what Linux returns.
type Deed = fn() -> i64;

/// The actions, by name.
pub const DEEDS: &[(&str, Deed)] = &[
    ("socket", || call(libc::SYS_socket, [libc::AF_INET as i64, libc::SOCK_STREAM as i64, 0])),
    ("execve", || call(libc::SYS_execve, [c"/bin/true".as_ptr() as i64, 0, 0])),
    ("fork", || call(libc::SYS_fork, [0; 3])),
    ("ptrace", || call(libc::SYS_ptrace, [0; 3])),
    ("kill", || call(libc::SYS_kill, [1, 0, 0])),
    ("open_by_handle_at", || call(libc::SYS_open_by_handle_at, [0; 3])),
    ("bpf", || call(libc::SYS_bpf, [0; 3])),
    ("io_uring_setup", || call(libc::SYS_io_uring_setup, [1, 0, 0])),
    // KVM_CREATE_VM
    ("another ioctl", || call(libc::SYS_ioctl, [0, 0xAE01, 0])),
    ("executable memory", || {
        let wanted = libc::PROT_READ | libc::PROT_EXEC;
        // SAFETY: the mapping is new, and no other code uses it.
        unsafe {
            libc::syscall(libc::SYS_mmap, 0, 4096, wanted, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        }
    }),
];

fn call(number: i64, [a, b, c]: [i64; 3]) -> i64 {
    // SAFETY: in the sandbox, the calls above end the process; outside of it they touch no memory of this process.
    unsafe { libc::syscall(number, a, b, c) }
}

/// Does the action that the variable names, and exits. Without the variable it returns at once.
pub fn run_if_asked() {
    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let (role, deed) = wanted.split_once(' ').expect("a role and a deed");
    let role = role_of(role);
    if deed == HEAP {
        shrink_heap_of_thread(&sandbox(), role);
        std::process::exit(0)
    }
    let status = File::open("/proc/self/status").expect("a file of Linux");
    let sandbox = sandbox();
    let read = [PathBuf::from(ALLOWED)];
    sandbox.enter(role, Files { read: &read, make_in: None }).expect("a kernel with seccomp");
    match deed {
        "status" => println!("{}", text(&status)),
        "open" => println!("{:?} {:?}", kind(ALLOWED), kind("/etc/passwd")),
        deed => {
            let (_, deed) = DEEDS.iter().find(|(name, _)| *name == deed).expect("a deed");
            deed();
        }
    }
    std::process::exit(0)
}

fn sandbox() -> Sandbox {
    Sandbox { mode: Mode::Enforce, without: None }
}

/// In a thread that is in the sandbox, fills the heap with blocks that are too small for mappings of their own, and frees all.
fn shrink_heap_of_thread(sandbox: &Sandbox, role: Role) {
    const BLOCK: usize = 100 << 10;
    let entrance = sandbox.entrance(role).expect("a filter");
    let thread = std::thread::spawn(move || {
        entrance.enter().expect("a kernel with seccomp");
        let blocks: Vec<_> = (0..1000).map(|number| vec![number as u8; BLOCK]).collect();
        std::hint::black_box(blocks);
    });
    thread.join().expect("a thread that ends");
}

fn kind(path: &str) -> Option<std::io::ErrorKind> {
    File::open(path).err().map(|error| error.kind())
}

fn text(file: &File) -> String {
    let mut bytes = [0; 4096];
    let size = file.read_at(&mut bytes, 0).expect("a file that was open before");
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

fn role_of(name: &str) -> Role {
    match name {
        "run" => Role::Run(&[]),
        "writer" => Role::Writer,
        "read" => Role::Read,
        _ => Role::Make,
    }
}

/// The command that starts a process which enters the sandbox of a role and does an action.
pub fn command(role: &str, deed: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(VARIABLE, format!("{role} {deed}"));
    command
}

/// Whether seccomp ended a process.
pub fn was_killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(libc::SIGSYS)
}
