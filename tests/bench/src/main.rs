//! What `make bench` measures with: one static program that runs in the guests and under callgrind.
//!
//! ```text
//! pvpn-bench spend COMMAND...          wall and CPU milliseconds and the peak memory in kB of one run
//! pvpn-bench answered ADDR COMMAND...  milliseconds from the command's start to the first echo answered by ADDR, and
//!                                      to the command's end
//! pvpn-bench body FILE                 writes a list of 18,000 servers, 13.5 MB, shaped like Proton's
//! pvpn-bench list FILE | serde FILE    milliseconds and peak memory in kB of reading it
//! pvpn-bench map GATEWAY               one NAT-PMP mapping of both protocols
//! pvpn-bench policy COUNT              milliseconds of each change of the rule set; the last line is how many rules
//! pvpn-bench soak                      a day of simulated events with 200 switches: after an hour and at the end, memory
//!                                      in kB, descriptors, turns of the loop
//! pvpn-bench hot list|ruleset|turn N   a hot path N times, for callgrind
//! ```

mod list;
mod map;
mod policy;
mod spend;
mod turns;

use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["spend", command @ ..] => spend::spend(command),
        ["answered", addr, command @ ..] => spend::answered(addr.parse()?, command),
        ["body", file] => Ok(list::write_body(file)?),
        ["list", file] => timed(|| list::read(file)),
        ["serde", file] => timed(|| list::read_by_serde(file)),
        ["map", gateway] => map::map(gateway.parse()?),
        ["policy", count] => policy::change(count.parse()?),
        ["soak"] => turns::soak(),
        ["hot", "list", n] => (0..n.parse()?).try_for_each(|_: u32| list::read_hot()),
        ["hot", "ruleset", n] => (0..n.parse()?).try_for_each(|_: u32| policy::build_hot()),
        ["hot", "turn", n] => turns::idle(n.parse()?),
        _ => Err("see the head of tests/bench/src/main.rs".into()),
    }
}

/// Prints milliseconds, and the peak of this process's memory.
fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let result = work()?;
    let ms = begun.elapsed().as_secs_f64() * 1_000.0;
    println!("{ms:.3} {}", memory("status", "VmHWM")?);
    drop(result);
    Ok(())
}

/// A line of /proc/self/status or smaps_rollup, in kB. (RssAnon of `status` lags behind by up to 64 pages a thread where
/// the kernel counts in batches: proc_pid_status(5). That is more than a small program has, so what is compared in one
/// process comes from smaps_rollup.)
fn memory(file: &str, name: &str) -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
