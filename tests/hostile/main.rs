//! Hostile guests, files and hosts: the tests that `docs/threat-model.md` names.

#[path = "../support/mod.rs"]
mod support;

mod files;
#[path = "../support/handmade.rs"]
mod handmade;
mod inside;
mod needed;
mod sandbox;

fn main() {
    inside::run_if_asked();
    files::add(sandbox::add(needed::add(support::Suite::default()))).run()
}
