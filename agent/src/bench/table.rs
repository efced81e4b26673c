//! One table per family.

use std::io::{self, Write};

use super::{Report, Row};

/// Writes the tables of `report` as text.
pub fn write_tables(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |load| format!("{load:.1}"));
    writeln!(
        out,
        "{}, {} thread{}, load {} before and {} after, engine {}",
        report.cpu,
        report.threads,
        if report.threads == 1 { "" } else { "s" },
        load(report.load_before),
        load(report.load_after),
        report.engine_build
    )?;
    let mut families: Vec<&str> = report.rows.iter().map(|row| row.family).collect();
    families.dedup();
    for family in families {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.family == family).collect();
        write_table(out, family, &rows)?;
    }
    Ok(())
}

fn write_table(out: &mut impl Write, family: &str, rows: &[&Row]) -> io::Result<()> {
    let heading: [&str; 9] = [
        family,
        "level",
        "median ms",
        "95 % interval",
        "GMAC/s",
        "MAC/cycle",
        "GB/s",
        "of peak",
        "kernel",
    ];
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| cells(row)));
    // A column that says nothing about any row is left out.
    let says = |column: usize| lines[1..].iter().any(|line| !line[column].is_empty());
    let columns: Vec<usize> = (0..heading.len()).filter(|&column| says(column)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    writeln!(out)?;
    for line in &lines {
        let padded = columns.iter().map(|&column| {
            let (cell, width) = (&line[column], width(column).unwrap_or(0));
            let text = matches!(column, 0 | 1 | 8);
            if text { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn cells(row: &Row) -> [String; 9] {
    let ms = |ns: u64| format!("{:.4}", ns as f64 / 1e6);
    let giga = |rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{:.2}", rate / 1e9));
    [
        row.case.clone(),
        row.level.name().to_owned(),
        ms(row.median_ns),
        format!("{} – {}", ms(row.low_ns), ms(row.high_ns)),
        giga(row.macs_per_second),
        row.macs_per_cycle.map_or(String::new(), |rate| format!("{rate:.2}")),
        giga(row.bytes_per_second),
        row.share_of_peak.map_or(String::new(), |share| format!("{:.0} %", 100.0 * share)),
        row.kernels.join(", "),
    ]
}
