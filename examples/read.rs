//! Prints who ran and how often the timer interrupted them: `cargo run --example read -- t.trap`.

use std::collections::BTreeMap;

use trapline_trace::{Names, Trace, What};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trace = Trace::open(std::env::args_os().nth(1).ok_or("name a trace file")?.as_ref())?;
    trace.damage().iter().for_each(|damage| eprintln!("warning: {damage}"));
    let (mut names, mut ticks) = (Names::default(), BTreeMap::<u16, u32>::new());
    for event in trace.events() {
        names.learn(&event);
        if let What::Tick { .. } = event.what {
            *ticks.entry(event.process).or_default() += 1;
        }
    }
    for (process, ticks) in ticks {
        println!("{}: {ticks} ticks", names.label(trapline_trace::Origin::Guest, process));
    }
    Ok(())
}
