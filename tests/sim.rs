//! The supervisor's machines against a modelled gateway and a modelled qBittorrent, hours in milliseconds.
//!
//! `cargo test --test sim -- --nocapture` prints the numbers; `make bench` shows them beside the model of what people
//! use today.

#[path = "sim/gateway.rs"]
mod gateway;
#[path = "sim/interleave.rs"]
mod interleave;
#[path = "sim/machine.rs"]
mod machine;
#[path = "sim/random.rs"]
mod random;
#[path = "sim/rival.rs"]
mod rival;
#[path = "sim/torrent.rs"]
mod torrent;
#[path = "sim/unruly.rs"]
mod unruly;
#[path = "sim/whole.rs"]
mod whole;
#[path = "sim/world.rs"]
mod world;

use gateway::{Event, Gateway};
use pvpn::time::{Duration, Instant, secs};
use random::Random;
use world::{Why, World};

const ELEVEN_HOURS: Duration = secs(11 * 3600);
const SEEDS: u64 = 16;

fn troubled(seed: u64) -> Gateway {
    Gateway::new(40123).with_refusals(&mut Random::new(seed), end())
}

fn end() -> Instant {
    Instant::BOOT + ELEVEN_HOURS
}

#[test]
fn through_eleven_hours_of_loss_and_refusals_the_port_is_held_and_never_changes() {
    let (mut worst, mut sum, mut rivals, mut tear_downs) = (100.0_f64, 0.0, 0.0, 0);
    for seed in 1..=SEEDS {
        let mut world = World::new(seed, 30, troubled(seed));
        world.run_until(end());
        let availability = world.counts.availability();
        assert!(availability >= 99.9, "seed {seed}: {availability:.3} %");
        assert_eq!(world.counts.published, [40123], "seed {seed}");
        assert_eq!(world.counts.hooks, [40123], "seed {seed}");
        assert_eq!(world.torrent.written, [40123], "seed {seed}");
        assert_eq!(world.file, Some(40123));
        worst = worst.min(availability);
        sum += availability;
        let rival = rival::run(seed, 30, troubled(seed), end());
        rivals += 100.0 * rival.available.as_secs_f64() / rival.offered.as_secs_f64();
        tear_downs += rival.tear_downs;
    }
    let (mean, rivals, tear_downs) =
        (sum / SEEDS as f64, rivals / SEEDS as f64, u64::from(tear_downs) / SEEDS);
    println!("port, 11 h, 30 % loss each way, refusals of 1 to 5 min, {SEEDS} seeds:");
    println!(
        "  pvpn                          {mean:7.3} % available (worst {worst:.3} %), 0 needless changes"
    );
    println!("  tear down on the first error  {rivals:7.3} % available, {tear_downs} tear-downs");
}

#[test]
fn a_gateway_that_restarts_costs_half_a_lease_and_no_change() {
    for seed in 1..=SEEDS {
        let mut random = Random::new(seed);
        let mut gateway = Gateway::new(40123);
        for hour in 1..11 {
            let at = Instant::BOOT + secs(hour * 3600) + random.between(secs(0), secs(3000));
            gateway = gateway.with_event(at, Event::Restart);
        }
        let mut world = World::new(seed, 30, gateway);
        world.run_until(end());
        assert_eq!(world.counts.published, [40123], "seed {seed}");
        let lost = world.counts.offered - world.counts.available;
        assert!(lost < secs(10 * 36), "seed {seed}: {lost:?} without a port");
    }
}

#[test]
fn a_number_that_really_changes_is_followed_once_everywhere() {
    for seed in 1..=SEEDS {
        let mut random = Random::new(seed);
        let mut gateway = troubled(seed);
        for hour in 1..11 {
            let at = Instant::BOOT + secs(hour * 3600) + random.between(secs(0), secs(3000));
            gateway = gateway.with_event(at, Event::Rotate);
        }
        let mut world = World::new(seed, 30, gateway);
        world.failing_percent = 20;
        world.run_until(end() + secs(600));
        let changes = world.gateway.changes as usize;
        assert!(world.counts.published.len() <= changes + 1, "seed {seed}: {:?}", world.counts.published);
        assert_eq!(world.counts.hooks, world.counts.published, "seed {seed}");
        assert_eq!(world.torrent.written, world.counts.published, "seed {seed}");
        assert_eq!(world.file, Some(world.gateway.number), "seed {seed}");
    }
}

#[test]
fn a_qbittorrent_that_restarts_is_back_on_the_port_within_twenty_seconds() {
    for seed in 1..=SEEDS {
        let mut random = Random::new(seed);
        let mut world = World::new(seed, 0, Gateway::new(40123));
        let mut at = Instant::BOOT + secs(60);
        for _ in 0..20 {
            at = at + random.between(secs(30), secs(900));
            let back = at + random.between(secs(0), secs(120));
            world.torrent.down.push((at, back));
            world.run_until(at);
            world.run_until(back);
            world.run_until(back + secs(20));
            assert!(world.torrent.listens(world.now, "10.2.0.2", 40123), "seed {seed}, back at {back:?}");
            at = back + secs(20);
        }
        assert_eq!(world.torrent.written.len(), 21, "seed {seed}");
    }
}

#[test]
fn an_idle_hour_wakes_the_supervisor_six_times_a_minute_at_most() {
    let mut world = World::new(1, 0, Gateway::new(40123));
    world.run_until(Instant::BOOT + secs(600));
    world.counts.wakes.clear();
    world.run_until(Instant::BOOT + secs(600 + 3600));
    println!("wake-ups in an idle hour by reason:");
    for (why, count) in &world.counts.wakes {
        println!("  {count:4}  {why:?}");
    }
    let lease = [Why::LeaseTimer, Why::LeaseAnswer];
    let others: u32 = world.counts.wakes.iter().filter(|(why, _)| !lease.contains(why)).map(|(_, n)| n).sum();
    println!("  {:.2} a minute beyond the lease", f64::from(others) / 60.0);
    assert!(others <= 6 * 60, "{others} wake-ups beyond the lease renewals");
}
