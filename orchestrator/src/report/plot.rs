//! The trade-off between latency and accuracy, as inline SVG.

use maud::{Markup, html};

use super::axis::{duration_ticks, tick_duration};
use super::data::{Point, Report};
use super::format::{duration, percent};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 52.0;

/// Maps data to pixels: latency on a logarithmic axis, accuracy on a linear one.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn new(report: &Report) -> Self {
        let latencies = report.points.iter().map(|p| p.latency_us).chain(report.latency_limit_us);
        let (low, high) =
            latencies.fold((f64::INFINITY, 0.0_f64), |(low, high), us| (low.min(us), high.max(us)));
        let lowest = |point: &Point| if point.is_named() { point.ci95.0 } else { point.accuracy() };
        let worst =
            report.points.iter().map(lowest).chain(report.accuracy_floor).fold(1.0, f64::min);
        Self { x: ((low * 0.85).ln(), (high * 1.18).ln()), y: ((worst - 0.06).max(0.0), 1.02) }
    }

    fn px(&self, us: f64) -> f64 {
        let share = (us.ln() - self.x.0) / (self.x.1 - self.x.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, accuracy: f64) -> f64 {
        let share = (accuracy - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }

    fn y_ticks(&self) -> Vec<f64> {
        let step = if self.y.1 - self.y.0 > 0.45 { 0.1 } else { 0.05 };
        let first = (self.y.0 / step).ceil() as i32;
        let last = (self.y.1.min(1.0) / step + 1e-9).floor() as i32;
        (first..=last).map(|tick| f64::from(tick) * step).collect()
    }
}

/// The plot; empty when nothing was evaluated.
pub(super) fn trade_off(report: &Report) -> Markup {
    if report.points.is_empty() {
        return html! {};
    }
    let axes = Axes::new(report);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="trade-off-title" {
            title id="trade-off-title" { "Accuracy against latency of every evaluated assignment" }
            (frame(&axes))
            (thresholds(report, &axes))
            (front(&report.points, &axes))
            @for point in report.points.iter().filter(|point| point.is_named()) { (interval(point, &axes)) }
            @for point in &report.points { (mark(point, &axes)) }
            (labels(&report.points, &axes))
        }
    }
}

fn frame(axes: &Axes) -> Markup {
    let bottom = HEIGHT - BOTTOM;
    html! {
        @for us in duration_ticks(axes.x.0.exp(), axes.x.1.exp()) {
            @let x = axes.px(us);
            line.grid x1=(x) x2=(x) y1=(TOP) y2=(bottom) {}
            text.tick x=(x) y=(bottom + 18.0) text-anchor="middle" { (tick_duration(us)) }
        }
        @for share in axes.y_ticks() {
            @let y = axes.py(share);
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
            text.tick x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (format!("{:.0} %", 100.0 * share)) }
        }
        text.axis x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 10.0) text-anchor="middle" {
            "predicted latency of the pipeline (logarithmic)"
        }
        text.axis transform=(format!("translate(14 {}) rotate(-90)", (TOP + bottom) / 2.0)) text-anchor="middle" {
            "end-to-end accuracy"
        }
    }
}

fn thresholds(report: &Report, axes: &Axes) -> Markup {
    html! {
        @if let Some(floor) = report.accuracy_floor {
            @let y = axes.py(floor);
            line.threshold x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
            text.threshold x=(WIDTH - RIGHT - 4.0) y=(y + 15.0) text-anchor="end" {
                "least accuracy " (percent(floor))
            }
        }
        @if let Some(limit) = report.latency_limit_us {
            @let x = axes.px(limit);
            line.threshold x1=(x) x2=(x) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
            text.threshold x=(x - 4.0) y=(TOP + 12.0) text-anchor="end" { "limit " (duration(limit)) }
        }
    }
}

/// A staircase: between two points of the front nothing better is known.
fn front(points: &[Point], axes: &Axes) -> Markup {
    let mut best: Vec<&Point> = points.iter().filter(|point| point.pareto).collect();
    best.sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us));
    let mut path = String::new();
    for (index, point) in best.iter().enumerate() {
        let (x, y) = (axes.px(point.latency_us), axes.py(point.accuracy()));
        path += &if index == 0 { format!("M{x:.1} {y:.1}") } else { format!("H{x:.1}V{y:.1}") };
    }
    html! { path.front d=(path) {} }
}

/// The interval of a point's accuracy, as a bar with ends.
fn interval(point: &Point, axes: &Axes) -> Markup {
    let x = axes.px(point.latency_us);
    let (low, high) = point.ci95;
    let (low, high) = (axes.py(low.max(axes.y.0)), axes.py(high.min(axes.y.1)));
    let path =
        format!("M{x:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h8M{:.1} {high:.1}h8", x - 4.0, x - 4.0);
    html! { path.interval d=(path) {} }
}

fn mark(point: &Point, axes: &Axes) -> Markup {
    let (x, y) = (axes.px(point.latency_us), axes.py(point.accuracy()));
    let tip = format!(
        "{}: {}, {} of {} right ({}, 95 % interval {} to {})",
        point.label,
        duration(point.latency_us),
        point.correct,
        point.total,
        percent(point.accuracy()),
        percent(point.ci95.0),
        percent(point.ci95.1)
    );
    html! {
        @if point.chosen {
            path.chosen d=(star(x, y, 11.0)) { title { (tip) } }
        } @else if point.uniform.is_some() {
            rect.uniform x=(x - 5.0) y=(y - 5.0) width="10" height="10" { title { (tip) } }
        } @else {
            circle.(if point.pareto { "pareto" } else { "other" }) cx=(x) cy=(y) r="4.5" { title { (tip) } }
        }
    }
}

fn star(x: f64, y: f64, radius: f64) -> String {
    let corner = |index: usize| {
        let angle = std::f64::consts::PI * (index as f64 / 5.0 - 0.5);
        let r = if index.is_multiple_of(2) { radius } else { radius * 0.45 };
        format!("{:.1} {:.1}", x + r * angle.cos(), y + r * angle.sin())
    };
    let corners: Vec<String> = (0..10).map(corner).collect();
    format!("M{}Z", corners.join("L"))
}

/// Names next to the uniform levels and the choice, moved apart where they would overlap.
fn labels(points: &[Point], axes: &Axes) -> Markup {
    let mut named: Vec<(f64, f64, String)> = points
        .iter()
        .filter(|point| point.chosen || point.uniform.is_some())
        .map(|point| {
            let text = match (point.chosen, point.uniform) {
                (true, Some(level)) => format!("chosen (all {level})"),
                (true, None) => "chosen".to_owned(),
                (false, Some(level)) => format!("all {level}"),
                (false, None) => String::new(),
            };
            (axes.px(point.latency_us), axes.py(point.accuracy()), text)
        })
        .collect();
    // From the lowest up, so that labels move apart upwards.
    named.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.total_cmp(&b.0)));
    let mut placed: Vec<(f64, f64)> = Vec::new();
    let place = |(x, y, text): (f64, f64, String)| {
        let mut at = y - 12.0;
        while placed.iter().any(|&(px, py)| (px - x).abs() < 110.0 && (py - at).abs() < 15.0) {
            at -= 15.0;
        }
        placed.push((x, at));
        (x, at, text)
    };
    let placed: Vec<(f64, f64, String)> = named.into_iter().map(place).collect();
    html! {
        @for (x, y, text) in &placed {
            @let near_right = *x > WIDTH - 150.0;
            text.name x=(if near_right { x - 12.0 } else { x + 12.0 }) y=(y)
                text-anchor=(if near_right { "end" } else { "start" }) { (text) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_shares_are_round() {
        let ticks = Axes { x: (1.0, 2.0), y: (0.7, 1.02) }.y_ticks();
        assert_eq!(ticks.len(), 7);
        assert!((ticks[0] - 0.7).abs() < 1e-9 && (ticks[6] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn slower_is_further_right_and_more_accurate_is_higher() {
        let axes = Axes { x: (1.0, 10.0), y: (0.0, 1.0) };
        assert!(axes.px(20.0) < axes.px(30.0));
        assert!(axes.py(0.9) < axes.py(0.8));
    }
}
