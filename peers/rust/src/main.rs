//! Times ONNX models with tract and rten: once each for every line read from standard input, answered with a line of
//! JSON `[{"case", "who", "level", "ns"}]`.
//!
//! A model that a runtime cannot run is left out, and the reason goes to standard error.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::Instant;

use rten::{Dimension, Model};
use rten_tensor::Tensor;
use rten_tensor::prelude::*;
use tract_onnx::prelude::{
    Framework as _, InferenceModelExt as _, IntoRunnable as _, TValue, Tensor as TractTensor, tvec,
};

type Failure = Box<dyn Error>;
type Run = Box<dyn FnMut() -> Result<(), Failure>>;

/// The model in tract.
fn tract(file: &Path) -> Result<Run, Failure> {
    let model = tract_onnx::onnx().model_for_path(file)?.into_optimized()?;
    let fact = model.input_fact(0)?.clone();
    let shape: Vec<usize> = fact.shape.as_concrete().ok_or("a shape is unknown")?.to_vec();
    let plan = model.into_runnable()?;
    let input: TValue = TractTensor::zero::<f32>(&shape)?.into();
    Ok(Box::new(move || {
        plan.run(tvec!(input.clone()))?;
        Ok(())
    }))
}

/// The model in rten.
fn rten(file: &Path) -> Result<Run, Failure> {
    let model = Model::load_file(file)?;
    let port = *model.input_ids().first().ok_or("it has no input")?;
    let extent = |dimension: Dimension| match dimension {
        Dimension::Fixed(extent) => Some(extent),
        Dimension::Symbolic(_) => None,
    };
    let shape = model.input_shape(0).unwrap_or_default();
    let shape: Option<Vec<usize>> = shape.into_iter().map(extent).collect();
    let shape = shape.ok_or("a shape is unknown")?;
    let input = Tensor::<f32>::zeros(&shape);
    Ok(Box::new(move || {
        model.run(vec![(port, input.view().into())], model.output_ids(), None)?;
        Ok(())
    }))
}

fn main() -> Result<(), Failure> {
    let mut subjects: Vec<(String, &str, Run)> = Vec::new();
    for file in std::env::args().skip(1) {
        let path = Path::new(&file);
        for (who, prepare) in [("tract", tract as fn(&Path) -> _), ("rten", rten)] {
            let prepared: Result<Run, Failure> = prepare(path);
            match prepared.and_then(|mut run| run().map(|()| run)) {
                Ok(run) => subjects.push((file.clone(), who, run)),
                Err(error) => eprintln!("{who} cannot run {file}: {error}"),
            }
        }
    }
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let mut rows = Vec::new();
        for (case, who, run) in &mut subjects {
            let start = Instant::now();
            run()?;
            let ns = start.elapsed().as_nanos();
            rows.push(format!(
                r#"{{"case": {case:?}, "who": {who:?}, "level": "fp32", "ns": {ns}}}"#
            ));
        }
        writeln!(out, "[{}]", rows.join(", "))?;
        out.flush()?;
    }
    Ok(())
}
