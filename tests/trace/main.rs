//! Traces: nothing is lost in silence, whatever happens to the run, the disk or the file.

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod damage;
mod diff;
mod expect;
mod export;
mod faults;
mod fleet;
#[path = "../support/handmade.rs"]
mod handmade;
mod json;
mod pipes;
mod screens;
mod second_reader;
mod stat;
mod terminal;
mod view;

fn main() {
    let suite = expect::add(calls::add(faults::add(support::Suite::default())));
    let suite = fleet::add(export::add(second_reader::add(damage::add(suite))));
    screens::add(pipes::add(json::add(terminal::add(view::add(diff::add(stat::add(suite))))))).run()
}
