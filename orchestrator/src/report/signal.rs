//! Where collapsed variants lose their signal, layer by layer, as inline SVG.

use maud::{Markup, html};

use super::data::Collapsed;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// Range of the axis in decibels; what lies beyond is drawn at its ends.
const RANGE_DB: (f64, f64) = (-5.0, 45.0);

fn py(db: f64) -> f64 {
    let share = (db.clamp(RANGE_DB.0, RANGE_DB.1) - RANGE_DB.0) / (RANGE_DB.1 - RANGE_DB.0);
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

/// A bar per layer, in the order in which they run; the one at which the signal dies stands out.
pub(super) fn signal(collapsed: &Collapsed) -> Markup {
    let step = (WIDTH - LEFT - RIGHT) / collapsed.layers.len().max(1) as f64;
    let name = format!("Signal to noise ratio along {} at {}", collapsed.stage, collapsed.level);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(name) {
            @for db in [0.0, 20.0, 40.0] {
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(py(db)) y2=(py(db)) {}
                text.tick x=(LEFT - 6.0) y=(py(db) + 4.0) text-anchor="end" { (db) " dB" }
            }
            @for (index, (layer, db)) in collapsed.layers.iter().enumerate() {
                @let dies = collapsed.dies_at.as_ref() == Some(layer);
                rect.(if dies { "dies" } else { "layer" }) x=(format!("{:.1}", LEFT + step * (index as f64 + 0.1)))
                    y=(format!("{:.1}", py(*db))) width=(format!("{:.1}", step * 0.8))
                    height=(format!("{:.1}", HEIGHT - BOTTOM - py(*db) + 1.0)) {
                    title { (layer) ": " (format!("{db:.1}")) " dB" }
                }
            }
            text.axis x=((LEFT + WIDTH - RIGHT) / 2.0) y=(HEIGHT - 6.0) text-anchor="middle" { "layers, in the order in which they run" }
        }
    }
}
