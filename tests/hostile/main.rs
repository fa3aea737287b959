//! Hostile guests, files and hosts: the tests that `docs/threat-model.md` names.

#[path = "../support/mod.rs"]
mod support;

mod devices;
mod files;
#[path = "../support/handmade.rs"]
mod handmade;
mod hosts;
mod inside;
mod kernels;
mod model;
mod needed;
mod programs;
mod random;
mod sandbox;

fn main() {
    inside::run_if_asked();
    let suite = sandbox::add(needed::add(support::Suite::default()));
    let suite = model::add(hosts::add(suite));
    programs::add(random::add(kernels::add(devices::add(files::add(suite))))).run()
}
