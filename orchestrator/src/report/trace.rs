//! The search, evaluation by evaluation, as inline SVG: what was looked at, the best so far, and the bound that rises to it.

use maud::{Markup, html};

use super::axis::{duration_ticks, even_ticks, tick_duration};
use super::data::{Report, SearchStep, TracePoint};
use super::format::duration;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = 48.0;

/// Maps the number of an evaluation and a latency (logarithmic) to pixels.
struct Axes {
    last: f64,
    y: (f64, f64),
}

impl Axes {
    fn new(report: &Report) -> Self {
        let seen = report.trace.iter().map(|point| point.latency_us);
        let bounds = report.steps.iter().map(|step| step.bound_us).filter(|&us| us > 0.0);
        let (low, high) = seen
            .chain(bounds)
            .fold((f64::INFINITY, 0.0_f64), |(low, high), us| (low.min(us), high.max(us)));
        Self { last: report.trace.len() as f64, y: ((low * 0.9).ln(), (high * 1.1).ln()) }
    }

    fn px(&self, evaluation: f64) -> f64 {
        LEFT + evaluation / (self.last + 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, us: f64) -> f64 {
        let share = (us.ln() - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The plot; empty when nothing was searched.
pub(super) fn search_trace(report: &Report) -> Markup {
    if report.trace.is_empty() {
        return html! {};
    }
    let axes = Axes::new(report);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby="trace-title" {
            title id="trace-title" { "Latency of every evaluated assignment in the order of evaluation, the best so far, and the bound" }
            (frame(&axes))
            path.bound d=(steps(&report.steps, &axes, |step| (step.bound_us > 0.0).then_some(step.bound_us))) {}
            path.incumbent d=(steps(&report.steps, &axes, |step| step.incumbent_us)) {}
            @for (index, point) in report.trace.iter().enumerate() { (mark(index + 1, point, &axes)) }
        }
    }
}

fn frame(axes: &Axes) -> Markup {
    let bottom = HEIGHT - BOTTOM;
    let numbers = even_ticks(0.0, axes.last.max(3.0));
    html! {
        @for us in duration_ticks(axes.y.0.exp(), axes.y.1.exp()) {
            @let y = axes.py(us);
            line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
            text.tick x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (tick_duration(us)) }
        }
        @for number in numbers.iter().filter(|number| number.fract() == 0.0 && **number <= axes.last) {
            text.tick x=(axes.px(*number)) y=(bottom + 18.0) text-anchor="middle" { (number) }
        }
        text.axis x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 8.0) text-anchor="middle" { "evaluation" }
        text.axis transform=(format!("translate(14 {}) rotate(-90)", (TOP + bottom) / 2.0)) text-anchor="middle" {
            "predicted latency"
        }
    }
}

/// A line that holds each value until the next.
fn steps(steps: &[SearchStep], axes: &Axes, value: impl Fn(&SearchStep) -> Option<f64>) -> String {
    let mut path = String::new();
    for step in steps {
        let Some(us) = value(step) else { continue };
        let (x, y) = (axes.px(step.evaluations as f64), axes.py(us));
        path +=
            &if path.is_empty() { format!("M{x:.1} {y:.1}") } else { format!("H{x:.1}V{y:.1}") };
    }
    if !path.is_empty() {
        path += &format!("H{:.1}", WIDTH - RIGHT);
    }
    path
}

fn mark(number: usize, point: &TracePoint, axes: &Axes) -> Markup {
    let (x, y) = (axes.px(number as f64), axes.py(point.latency_us));
    let stopped = if point.stopped { ", then stopped: too few can still be right" } else { "" };
    let tip = format!(
        "{number}. {}: {}, {} of {} right{stopped}",
        point.label,
        duration(point.latency_us),
        point.correct,
        point.total
    );
    html! {
        @if point.passes {
            circle.passes cx=(x) cy=(y) r="4.5" { title { (tip) } }
        } @else {
            path.fails d=(format!("M{:.1} {:.1}l7 7m0 -7l-7 7", x - 3.5, y - 3.5)) { title { (tip) } }
        }
    }
}
