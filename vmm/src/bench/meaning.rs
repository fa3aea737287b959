//! What a back end of KVM does for each group of rows.

/// The sentence for a group on this back end.
pub fn of(group: &str, back_end: &str) -> &'static str {
    let [hardware, emulated] = match group {
        "null call" => [
            "the CPU enters and leaves the guest's kernel itself; only a doorbell, with records, leaves the guest",
            "the trap goes through the host's kernel, which then emulates each instruction of the guest's kernel",
        ],
        "page fault" => [
            "the guest's kernel maps the page itself; the host maps memory below it at its first use",
            "the host's kernel emulates the guest's handler, and follows each change of the guest's page tables",
        ],
        "division fault" => [
            "the CPU delivers the exception and runs the handler without an exit",
            "the host's kernel takes the exception, and emulates the guest's kernel up to the handler in the program",
        ],
        "switch" => [
            "the CPU runs the guest's switch itself, and loads CR3 without an exit",
            "the host's kernel emulates the guest's switch, and changes the page tables itself when CR3 is written",
        ],
        "timer" => [
            "the host programs a timer of its own, and injects the interrupt after it",
            "as on hardware, but between two emulated instructions",
        ],
        "exit" => [
            "the CPU leaves the guest for the host's kernel; a port or memory without a device also leaves that",
            "the host's kernel emulates the instruction; a port or memory without a device leaves that too",
        ],
        "halt" => [
            "the host's kernel puts the thread of the vCPU to sleep and wakes it by its own timer",
            "as on hardware, after it has emulated the instruction",
        ],
        _ => [
            "the host makes the VM, loads the guest, and the CPU runs its boot",
            "the host makes the VM, loads the guest, and its kernel emulates each instruction of the guest's boot",
        ],
    };
    if back_end == "kvm_pvm" { emulated } else { hardware }
}
