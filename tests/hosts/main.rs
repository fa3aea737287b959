//! Hosts: does KVM itself work here, what does Trapline say where it does not, and does the gate report it?
//!
//! A host without KVM is made by a mount namespace in which `/dev/kvm` is something else. That takes root;
//! without it those tests are skipped.

#[path = "../support/mod.rs"]
mod support;

mod additions;
mod emulated;
mod gate;
mod guest_build;
#[path = "../support/handmade.rs"]
mod handmade;
mod install;
mod ioctls;
mod library;
mod machine;
mod missing;
mod raw;
mod starts;
mod workflows;

fn main() {
    let suite = support::Suite::default().kvm("runs_eleven_bytes_of_machine_code", raw::eleven_bytes);
    let suite = ioctls::add(machine::add(gate::add(workflows::add(missing::add(suite)))));
    install::add(emulated::add(additions::add(guest_build::add(starts::add(library::add(suite)))))).run()
}
