//! What a pipeline found and how long it took, for people and as JSON.

use std::collections::VecDeque;
use std::time::Duration;

use quantrack_engine::bundle::{Manifest, StageRun};
use quantrack_engine::glue::Finding;
use serde_json::{Value, json};

/// What was found, in a few words.
pub fn describe(found: Option<&Finding>) -> String {
    match found {
        None => "nothing".to_owned(),
        Some(Finding::Class(class)) => {
            let best = class.scores.iter().copied().fold(f32::MIN, f32::max);
            format!("{} ({best:.2})", class.label)
        }
        Some(Finding::Hand(hand)) => {
            let [x, y] = hand.square.center;
            format!("a hand about {x:.0}, {y:.0}")
        }
        Some(Finding::Regions(regions)) => format!("{} regions", regions.bounds.len()),
        Some(Finding::Tensors(tensors)) => {
            let shapes: Vec<String> =
                tensors.iter().map(|tensor| format!("{:?}", tensor.shape())).collect();
            format!("tensors {}", shapes.join(", "))
        }
    }
}

/// What was found, in full: coordinates are pixels of the frame.
pub fn found_json(found: &Finding) -> Value {
    match found {
        Finding::Class(class) => json!({ "class": class.label, "scores": class.scores }),
        Finding::Hand(hand) => {
            let square = &hand.square;
            json!({
                "square": { "center": square.center, "side": square.side, "angle": square.angle },
                "landmarks": hand.landmarks,
                "presence": hand.full.as_ref().map(|full| full.presence),
                "handedness": hand.full.as_ref().map(|full| full.handedness),
            })
        }
        Finding::Regions(regions) => {
            let boxes = regions.bounds.iter();
            let boxes = boxes.map(|b| [b.x_min, b.y_min, b.x_max, b.y_max]);
            json!({ "boxes": boxes.collect::<Vec<_>>() })
        }
        Finding::Tensors(tensors) => {
            let one = |tensor: &quantrack_engine::Tensor| json!({ "shape": tensor.shape(), "elements": tensor.iter().collect::<Vec<_>>() });
            json!({ "tensors": tensors.iter().map(one).collect::<Vec<_>>() })
        }
    }
}

/// Percentiles are those of so many newest frames: a camera never ends.
const KEPT: usize = 1 << 14;

/// Durations of one kind.
#[derive(Clone, Debug, Default)]
struct Series {
    count: usize,
    newest: VecDeque<Duration>,
}

impl Series {
    fn add(&mut self, duration: Duration) {
        self.count += 1;
        if self.newest.len() == KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(duration);
    }

    /// The smallest of them that so many percent do not exceed; `None` of none.
    fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.newest.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
    }

    fn ms(&self, percent: usize) -> String {
        let text = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1e3);
        self.percentile(percent).map_or("-".to_owned(), text)
    }

    fn us(&self, percent: usize) -> Option<f64> {
        self.percentile(percent).map(|time| time.as_nanos() as f64 / 1e3)
    }
}

/// Times of a stage, over the frames that it had something to do with.
#[derive(Debug)]
struct StageTimes {
    name: String,
    level: String,
    model: Series,
    glue: Series,
}

/// Times of all frames so far.
#[derive(Debug)]
pub struct Timings {
    stages: Vec<StageTimes>,
    total: Series,
}

impl Timings {
    /// None yet.
    pub fn new(manifest: &Manifest) -> Self {
        let stages = manifest.stages.iter().map(|stage| StageTimes {
            name: stage.name.clone(),
            level: stage.level.to_string(),
            model: Series::default(),
            glue: Series::default(),
        });
        Self { stages: stages.collect(), total: Series::default() }
    }

    /// Adds a frame's; returns its sum.
    pub fn add(&mut self, runs: &[StageRun]) -> Duration {
        let total = runs.iter().map(|run| run.model + run.glue).sum();
        self.total.add(total);
        for (stage, run) in self.stages.iter_mut().zip(runs).filter(|(_, run)| run.inferences > 0) {
            stage.model.add(run.model);
            stage.glue.add(run.glue);
        }
        total
    }

    /// Frames, median and 90th percentile of each stage, and of the whole.
    pub fn table(&self) -> String {
        let row = |cells: [&str; 6]| {
            let [name, level, frames, p50, p90, glue] = cells;
            format!("\n{name:<16} {level:<6} {frames:>7} {p50:>12} {p90:>12} {glue:>12}")
        };
        let mut text = row(["stage", "level", "frames", "model p50", "model p90", "glue p50"]);
        for StageTimes { name, level, model, glue } in &self.stages {
            let frames = model.count.to_string();
            text += &row([name, level, &frames, &model.ms(50), &model.ms(90), &glue.ms(50)]);
        }
        let (frames, total) = (self.total.count.to_string(), &self.total);
        text + &row(["all", "", &frames, &total.ms(50), &total.ms(90), ""])
    }

    /// The same in microseconds.
    pub fn json(&self) -> Value {
        let stages = self.stages.iter().map(|stage| {
            json!({
                "stage": stage.name,
                "level": stage.level,
                "frames": stage.model.count,
                "model_p50_us": stage.model.us(50),
                "model_p90_us": stage.model.us(90),
                "glue_p50_us": stage.glue.us(50),
            })
        });
        json!({
            "frames": self.total.count,
            "p50_us": self.total.us(50),
            "p90_us": self.total.us(90),
            "stages": stages.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks_of_the_newest() {
        let mut series = Series::default();
        assert_eq!(series.percentile(50), None);
        (1..=10).rev().for_each(|ms| series.add(Duration::from_millis(ms)));
        assert_eq!(series.percentile(50), Some(Duration::from_millis(5)));
        assert_eq!(series.percentile(90), Some(Duration::from_millis(9)));
        (0..KEPT).for_each(|_| series.add(Duration::from_millis(20)));
        assert_eq!(series.percentile(1), Some(Duration::from_millis(20)));
        assert_eq!(series.count, KEPT + 10);
    }
}
