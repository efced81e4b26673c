//! The history of nightly checks as one HTML file: a plot per board and model, change points and quarantines marked.

use maud::{Markup, html};

use super::axis::{even_ticks, tick_duration};
use super::format::duration;
use super::html::page;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 34.0;
/// Nights of a series that the table under its plot shows.
const TABLE_NIGHTS: usize = 14;

/// What nights have measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// When the last night was, UTC.
    pub last: Option<String>,
    /// A plot each.
    pub series: Vec<Series>,
}

/// A model on a board, night by night.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The board, by its name.
    pub board: String,
    /// The model, by its name in the suite.
    pub model: String,
    /// The oldest first.
    pub nights: Vec<Night>,
    /// Where the level has changed.
    pub changes: Vec<Change>,
    /// When the board was off its own history.
    pub quarantines: Vec<Quarantine>,
}

/// A night of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Night {
    /// When, UTC, as the store writes times.
    pub at: String,
    /// The median in microseconds.
    pub median_us: f64,
    /// What the check came to.
    pub outcome: Outcome,
    /// The first digits of the variant's digest.
    pub variant: String,
}

/// What a night came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It made a baseline.
    Baseline,
    /// Nothing was slower.
    Ok,
    /// It was faster.
    Improved,
    /// It was slower.
    Regression,
    /// No telling.
    Inconclusive,
}

/// A change of level.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The first night of the new level.
    pub index: usize,
    /// Medians of the levels before and after, in microseconds.
    pub levels_us: (f64, f64),
}

/// A time during which a board was off its own history.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantine {
    /// When it began, UTC.
    pub from: String,
    /// When it ended; absent while it lasts.
    pub until: Option<String>,
    /// Why.
    pub cause: String,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Ok => "ok",
            Self::Improved => "improved",
            Self::Regression => "regression",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Class of its mark.
    fn class(self) -> &'static str {
        match self {
            Self::Baseline => "uniform",
            Self::Ok => "pareto",
            Self::Improved => "passes",
            Self::Regression => "dies",
            Self::Inconclusive => "fails",
        }
    }
}

/// The whole page.
pub fn history_html(history: &History) -> String {
    page(
        "quantrack: history",
        &html! {
            h1 { "History of nightly checks" }
            @if let Some(last) = &history.last { p.soft { "Up to " (last) } }
            p.legend {
                span { i { "●" } " ok" }
                span { i.bad { "●" } " regression" }
                span { i.good { "●" } " improved" }
                span { i { "○" } " inconclusive" }
                span { i { "□" } " baseline" }
                span { "dashed: the level changed" }
                span { "shaded: the board was quarantined" }
            }
            @if history.series.is_empty() { p { "No night has been measured yet." } }
            @for series in &history.series { (section(series)) }
        },
    )
}

fn section(series: &Series) -> Markup {
    html! {
        h2 { (series.model) " on " (series.board) }
        (plot(series))
        @for change in &series.changes {
            @let (before, after) = change.levels_us;
            p { "Since " (day(&series.nights[change.index].at)) ": "
                (format!("{:+.1} %", 100.0 * (after / before - 1.0))) ", from " (duration(before))
                " to " (duration(after)) "." }
        }
        @for one in &series.quarantines {
            p.warn { "Quarantined from " (day(&one.from)) " to "
                (one.until.as_deref().map_or("today", day)) ": " (one.cause) "." }
        }
        div.scroll { table {
            tr { th.l { "night" } th { "median" } th.l { "verdict" } th.l { "variant" } }
            @for night in series.nights.iter().rev().take(TABLE_NIGHTS) {
                tr { td.l { (minute(&night.at)) } td { (duration(night.median_us)) }
                    td.l { (night.outcome.text()) } td.l { code { (night.variant) } } }
            }
        } }
        @if series.nights.len() > TABLE_NIGHTS {
            p.soft { "The last " (TABLE_NIGHTS) " of " (series.nights.len()) " nights." }
        }
    }
}

/// Maps times and medians to pixels, both on linear axes.
struct Axes {
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn new(nights: &[Night]) -> Self {
        let range = |values: &mut dyn Iterator<Item = f64>, margin: f64| {
            let from_to = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            let room = margin * (from_to.1 - from_to.0).max(from_to.1 * 1e-3).max(1e-9);
            (from_to.0 - room, from_to.1 + room)
        };
        Self {
            x: range(&mut nights.iter().map(|night| days(&night.at)), 0.04),
            y: range(&mut nights.iter().map(|night| night.median_us), 0.15),
        }
    }

    fn px(&self, at: f64) -> f64 {
        let share = ((at - self.x.0) / (self.x.1 - self.x.0)).clamp(0.0, 1.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn py(&self, us: f64) -> f64 {
        let share = (us - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

fn plot(series: &Series) -> Markup {
    let (nights, axes) = (&series.nights, Axes::new(&series.nights));
    let bottom = HEIGHT - BOTTOM;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            title { "Median latency of " (series.model) " on " (series.board) ", night by night" }
            @for one in &series.quarantines {
                @let (from, until) = (axes.px(days(&one.from)),
                    one.until.as_ref().map_or(WIDTH - RIGHT, |until| axes.px(days(until))));
                rect.quarantine x=(from - 3.0) y=(TOP) width=(until - from + 6.0)
                    height=(bottom - TOP) { title { "quarantined: " (one.cause) } }
            }
            @for us in even_ticks(axes.y.0, axes.y.1) {
                @let y = axes.py(us);
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text.tick x=(LEFT - 8.0) y=(y + 4.0) text-anchor="end" { (tick_duration(us)) }
            }
            @for night in dated(nights) {
                text.tick x=(axes.px(days(&night.at))) y=(bottom + 18.0) text-anchor="middle" { (day(&night.at)) }
            }
            @for change in &series.changes {
                @let x = axes.px((days(&nights[change.index].at)
                    + days(&nights[change.index.saturating_sub(1)].at)) / 2.0);
                line.threshold x1=(x) x2=(x) y1=(TOP) y2=(bottom) {}
                text.threshold x=(x) y=(TOP - 8.0) text-anchor="middle" {
                    (format!("{:+.1} %", 100.0 * (change.levels_us.1 / change.levels_us.0 - 1.0)))
                }
            }
            path.front d=(line(nights, &axes)) {}
            @for night in nights { (mark(night, &axes)) }
        }
    }
}

/// The nights whose dates stand under the axis: the first, the last and some between.
fn dated(nights: &[Night]) -> impl Iterator<Item = &Night> {
    let step = nights.len().div_ceil(5).max(1);
    let last = nights.len().saturating_sub(1);
    let chosen =
        move |index: usize| index == last || (index.is_multiple_of(step) && index + step <= last);
    nights.iter().enumerate().filter(move |(index, _)| chosen(*index)).map(|(_, night)| night)
}

fn line(nights: &[Night], axes: &Axes) -> String {
    let point =
        |night: &Night| format!("{:.1} {:.1}", axes.px(days(&night.at)), axes.py(night.median_us));
    let points: Vec<String> = nights.iter().map(point).collect();
    format!("M{}", points.join("L"))
}

fn mark(night: &Night, axes: &Axes) -> Markup {
    let (x, y) = (axes.px(days(&night.at)), axes.py(night.median_us));
    let tip =
        format!("{}: {}, {}", minute(&night.at), duration(night.median_us), night.outcome.text());
    html! {
        @if night.outcome == Outcome::Baseline {
            rect.(night.outcome.class()) x=(x - 4.0) y=(y - 4.0) width="8" height="8" { title { (tip) } }
        } @else {
            circle.(night.outcome.class()) cx=(x) cy=(y) r="4" { title { (tip) } }
        }
    }
}

/// "2026-01-02" of the store's "2026-01-02T03:04:05.678Z".
fn day(time: &str) -> &str {
    time.get(..10).unwrap_or(time)
}

fn minute(time: &str) -> String {
    crate::output::minutes(time)
}

/// Days since 1970 of the store's times; 0 for text that is none.
fn days(time: &str) -> f64 {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<i64>().ok();
    let parsed = || {
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let seconds = 3600 * number(11..13)? + 60 * number(14..16)? + number(17..19)?;
        // Years that begin in March, so that leap days come last (H. Hinnant, "chrono-compatible low-level date algorithms").
        let year = if month <= 2 { year - 1 } else { year };
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let all = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
        Some(all as f64 + seconds as f64 / 86_400.0)
    };
    parsed().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(day: usize, median_us: f64, outcome: Outcome) -> Night {
        let at = format!("2026-03-{day:02}T02:00:00.000Z");
        Night { at, median_us, outcome, variant: "0123abcd".to_owned() }
    }

    fn history() -> History {
        let mut nights: Vec<Night> = (1..=20)
            .map(|day| night(day, if day < 11 { 1000.0 } else { 1100.0 }, Outcome::Ok))
            .collect();
        nights[0].outcome = Outcome::Baseline;
        nights[10].outcome = Outcome::Regression;
        let quarantine = Quarantine {
            from: "2026-03-15T02:01:00.000Z".to_owned(),
            until: None,
            cause: "slower by 9 % <script>".to_owned(),
        };
        let series = Series {
            board: "pi3-a".to_owned(),
            model: "palm".to_owned(),
            nights,
            changes: vec![Change { index: 10, levels_us: (1000.0, 1100.0) }],
            quarantines: vec![quarantine],
        };
        History { last: Some("now".to_owned()), series: vec![series] }
    }

    #[test]
    fn days_are_counted_through_leap_years() {
        assert_eq!(days("1970-01-01T00:00:00.000Z"), 0.0);
        assert_eq!(days("1970-01-02T12:00:00.000Z"), 1.5);
        assert_eq!(days("2000-03-01T00:00:00.000Z"), 11_017.0);
        assert_eq!(days("2024-02-29T00:00:00Z") + 1.0, days("2024-03-01T00:00:00Z"));
        assert_eq!(days("yesterday"), 0.0);
    }

    #[test]
    fn the_page_needs_nothing_else_and_marks_what_happened() {
        let page = history_html(&history());
        assert!(page.contains("palm on pi3-a") && page.contains("+10.0 %"), "{page}");
        assert_eq!(page.matches("<circle").count(), 19);
        assert_eq!(page.matches("class=\"quarantine\"").count(), 1);
        assert_eq!(page.matches("circle class=\"dies\"").count(), 1);
        assert!(!page.contains("<script") && !page.contains("http"), "{page}");
        assert!(history_html(&History::default()).contains("No night"));
    }

    #[test]
    fn one_night_is_a_plot_too() {
        let mut one = history();
        one.series[0].nights.truncate(1);
        one.series[0].changes.clear();
        let page = history_html(&one);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }
}
