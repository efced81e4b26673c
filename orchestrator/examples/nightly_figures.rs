//! How often simulated nightly checks come to which verdict: `cargo run --release --example nightly_figures [-- NIGHTS]`
//! prints the table of docs/reliability.md.
#![expect(clippy::expect_used, reason = "figures that cannot be had end the program")]

#[path = "../tests/support/nights.rs"]
mod nights;

use std::error::Error;

use nights::{Against, Counts, KINDS, Kind, simulate};

#[expect(clippy::print_stdout, reason = "this is where figures go")]
fn main() -> Result<(), Box<dyn Error>> {
    let nights = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse::<usize>())?;
    println!("| noise | compared with | change | ok | regression | improved | inconclusive |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    for kind in KINDS {
        for against in [Against::Stored, Against::Interleaved] {
            for change in [0.0, 0.02, 0.05, 0.10] {
                println!("{}", row(kind, against, change, nights));
            }
        }
    }
    Ok(())
}

fn row(kind: Kind, against: Against, change: f64, nights: usize) -> String {
    let counts = simulate(kind, against, change, false, nights);
    let Counts { ok, regression, improved, inconclusive, .. } = counts;
    let percent = |count: usize| format!("{:.2} %", 100.0 * counts.share(count));
    let against = match against {
        Against::Stored => "stored runs",
        Against::Interleaved => "runs in turns",
    };
    let change = format!("{:+.0} %", 100.0 * change);
    let shares = [ok, regression, improved, inconclusive].map(percent);
    format!("| {} | {against} | {change} | {} |", kind.name, shares.join(" | "))
}
