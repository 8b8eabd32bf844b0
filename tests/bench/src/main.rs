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
//! pvpn-bench soak                      memory in kB after an hour, and after 24 h and 200 switches, of simulated events
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
    println!("{ms:.3} {}", memory("VmHWM")?);
    drop(result);
    Ok(())
}

/// A line of /proc/self/status, in kB.
fn memory(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
