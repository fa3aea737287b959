//! Runs of any programs under any options: whatever happens in them, the protocol is kept.

use std::path::Path;

use crate::support::{self, TestResult, ensure, trapline};

/// Runs on a real host, and on an emulated one; `TRAPLINE_RANDOM_RUNS` asks for another number.
const RUNS: u64 = 40;
const RUNS_EMULATED: u64 = 6;

/// All but the last end by themselves.
const PROGRAMS: [&str; 20] = [
    "hello",
    "arguments a b",
    "deep",
    "jumper",
    "overflow",
    "pages",
    "privileged",
    "thief",
    "vandal",
    "counter 5",
    "counter 100",
    "hog 3",
    "hog 60",
    "polite",
    "divider",
    "wild",
    "rogue",
    "forger",
    "sleeper",
    "hog",
];

/// Xorshift: the same runs from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn choose<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

fn check(folder: &Path, trace: &str) -> TestResult {
    let output = trapline(folder, &["check", trace])?;
    ensure(output.code == 0, || format!("{}\n{}", output.stdout, output.stderr))
}

pub fn the_tour_passes() -> TestResult {
    let folder = support::folder();
    trapline(folder.path(), &["run", "--trace", "t.trap"])?.expect(0)?;
    check(folder.path(), "t.trap")
}

pub fn random_runs_pass() -> TestResult {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse().ok());
    // The gate always makes the same runs; another seed makes others.
    let seed = number("TRAPLINE_RANDOM_SEED").unwrap_or(1) | 1;
    let usual = if support::is_emulated_host() { RUNS_EMULATED } else { RUNS };
    let mut random = Random(seed);
    for run in 0..number("TRAPLINE_RANDOM_RUNS").unwrap_or(usual) {
        let options = options(&mut random);
        let folder = support::folder();
        let arguments: Vec<&str> = options.iter().map(String::as_str).collect();
        let output = trapline(folder.path(), &arguments)?;
        let context =
            |why: String| format!("seed {seed}, run {run}: trapline {}\n{why}", arguments.join(" "));
        ensure(matches!(output.code, 0 | 32 | 36), || context(format!("{output:?}")))?;
        check(folder.path(), "t.trap").map_err(|why| context(why.message().unwrap_or_default().into()))?;
    }
    Ok(())
}

fn options(random: &mut Random) -> Vec<String> {
    let mut words: Vec<String> = ["run", "--trace", "t.trap", "--timeout", "400ms"].map(Into::into).into();
    let mut option = |name: &str, value: String| words.extend([name.into(), value]);
    option("--policy", random.choose(&["rr", "rr", "cooperative"]).into());
    option("--quantum", format!("{}us", 200 + random.below(19_800)));
    option("--timer", random.choose(&["periodic", "oneshot", "deadline"]).into());
    option("--batch", random.choose(&["1", "7", "1024", "65536"]).into());
    for _ in 0..1 + random.below(6) {
        words.push(random.choose(&PROGRAMS).into());
    }
    words
}
