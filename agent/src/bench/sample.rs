//! Taking samples in turns.

use std::time::{Duration, Instant};

use quantrack_engine::Pool;

use super::Subject;

/// A sample shorter than this would time the clock as well.
const SHORTEST: Duration = Duration::from_micros(100);
/// Most runs per sample.
const MOST_REPEATS: u32 = 10_000;

/// A subject and how long it took.
pub struct Timed {
    /// What ran.
    pub subject: Subject,
    /// Runs in a row that one sample is the mean of; 1 but for the shortest layers.
    pub repeats: u32,
    /// Nanoseconds of one run, in the order taken.
    pub samples_ns: Vec<u64>,
}

impl Timed {
    /// Warms the subject up and decides how many runs make a sample.
    pub fn new(mut subject: Subject, pool: &dyn Pool) -> anyhow::Result<Self> {
        subject.run(pool)?;
        let mut repeats = 1;
        while repeats < MOST_REPEATS && time(&mut subject, pool, repeats)? < SHORTEST {
            repeats *= 2;
        }
        Ok(Self { subject, repeats, samples_ns: Vec::new() })
    }
}

fn time(subject: &mut Subject, pool: &dyn Pool, repeats: u32) -> anyhow::Result<Duration> {
    let start = Instant::now();
    for _ in 0..repeats {
        subject.run(pool)?;
    }
    Ok(start.elapsed())
}

/// A sample of every subject.
pub fn round(all: &mut [Timed], pool: &dyn Pool) -> anyhow::Result<()> {
    for timed in all {
        let nanos = time(&mut timed.subject, pool, timed.repeats)?.as_nanos();
        let one = nanos / u128::from(timed.repeats);
        timed.samples_ns.push(u64::try_from(one).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Rounds until `limit` has passed, at least `least` of them; `after` hears of each.
pub fn sample(
    all: &mut [Timed],
    pool: &dyn Pool,
    limit: Duration,
    least: usize,
    mut after: impl FnMut(usize, Duration),
) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut rounds = 0;
    while rounds < least || start.elapsed() < limit {
        round(all, pool)?;
        rounds += 1;
        after(rounds, start.elapsed());
    }
    Ok(())
}
