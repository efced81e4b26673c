//! The worker's side: one order after the other until the agent closes the stream.

use std::io::{Read, Write};
use std::time::Instant;

use quantrack_engine::{Pool, RayonPool, Serial, Tensor};
use quantrack_proto::Precaution;

use super::engine::{Edge, Loader, Model};
use super::frame::{self, FrameError};
use super::memory::{self, Footprint};
use super::message::{
    Command, Layer, Layers, Load, Loaded, Order, Outcome, Ready, Reply, Sample, Samples, Setup,
    Tensors,
};
use super::{inputs, limits};
use crate::blobs::Digest;

struct Loading {
    model: Box<dyn Model>,
    inputs: Vec<Tensor>,
    /// `None` when the system does not tell.
    footprint: Option<Footprint>,
}

struct State<'a> {
    loader: &'a dyn Loader,
    pool: Box<dyn Pool>,
    seed: u64,
    /// Resident before the first variant.
    base_bytes: u64,
    variants: Vec<Loading>,
}

/// Serves orders until `orders` ends.
///
/// # Errors
/// When a stream breaks.
pub fn serve(
    loader: &dyn Loader,
    orders: &mut impl Read,
    replies: &mut impl Write,
) -> Result<(), FrameError> {
    let pool = Box::new(Serial);
    let mut state = State { loader, pool, seed: 0, base_bytes: 0, variants: Vec::new() };
    while let Some(command) = frame::read::<Command>(orders)? {
        let outcome = match command.order {
            Some(order) => state.obey(order),
            None => Err("an empty order".to_owned()),
        };
        let reply = outcome.map_or_else(Reply::failed, |outcome| Reply { outcome: Some(outcome) });
        frame::write(replies, &reply)?;
    }
    Ok(())
}

impl State<'_> {
    fn obey(&mut self, order: Order) -> Result<Outcome, String> {
        match order {
            Order::Setup(setup) => self.setup(&setup).map(Outcome::Ready),
            Order::Load(load) => self.load(&load).map(Outcome::Loaded),
            Order::Sample(sample) => self.sample(sample).map(Outcome::Samples),
            Order::Layers(sample) => self.layers(sample).map(Outcome::Layers),
            Order::Run(given) => self.run(&given).map(Outcome::Outputs),
        }
    }

    fn setup(&mut self, setup: &Setup) -> Result<Ready, String> {
        let missing = limits::apply(setup.memory_limit_bytes, &setup.cores)?;
        let pinned = !missing.is(Precaution::Cores);
        let cores = if pinned { setup.cores.clone() } else { Vec::new() };
        self.seed = setup.seed;
        if setup.threads > 1 {
            let threads = usize::try_from(setup.threads).map_err(|error| error.to_string())?;
            // Started after the pinning, so the threads inherit it.
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool =
                pool.map_err(|error| format!("failed to start {threads} threads: {error}"))?;
            self.pool = Box::new(RayonPool::new(pool));
        }
        self.base_bytes = memory::resident().unwrap_or(0);
        Ok(Ready { cores, missing: missing.texts() })
    }

    fn load(&mut self, load: &Load) -> Result<Loaded, String> {
        let loader = self.loader;
        let (model, footprint) = Footprint::default().during(|| {
            let bytes =
                std::fs::read(&load.path).map_err(|error| format!("failed to read it: {error}"))?;
            if Digest::of(&bytes).as_str() != load.sha256 {
                return Err("its file has changed since the upload; upload it again".to_owned());
            }
            loader.load(&bytes)
        });
        let model = model?;
        let resources = model.resources(self.pool.threads());
        let inputs = inputs::random(model.inputs(), self.seed);
        self.variants.push(Loading { model, inputs, footprint });
        Ok(Loaded {
            arena_bytes: resources.arena_bytes,
            weight_bytes: resources.weight_bytes,
            kernels: resources.kernels,
        })
    }

    fn sample(&mut self, sample: Sample) -> Result<Samples, String> {
        let base_bytes = self.base_bytes;
        let (variant, pool) = self.variant(sample.variant)?;
        let mut duration_ns = Vec::with_capacity(sample.runs as usize);
        let time = || {
            for _ in 0..sample.runs {
                let begin = Instant::now();
                let outputs = variant.model.run(&variant.inputs, pool, None)?;
                duration_ns.push(nanoseconds(begin));
                std::hint::black_box(outputs);
            }
            Ok::<(), String>(())
        };
        let (timed, footprint) = variant.footprint.unwrap_or_default().during(time);
        timed?;
        variant.footprint = variant.footprint.and(footprint);
        let alone = variant.footprint.map(|footprint| footprint.alone(base_bytes));
        let peak_memory_bytes = alone.or_else(limits::peak_memory_bytes);
        Ok(Samples { duration_ns, peak_memory_bytes, cpu_time_ns: limits::cpu_time_ns() })
    }

    fn layers(&mut self, sample: Sample) -> Result<Layers, String> {
        let (variant, pool) = self.variant(sample.variant)?;
        let infos = variant.model.layers();
        let mut durations = vec![Vec::new(); infos.len()];
        for _ in 0..sample.runs {
            let mut begin = Instant::now();
            let mut observe = |layer: usize, edge: Edge| match edge {
                Edge::Begin => begin = Instant::now(),
                Edge::End => {
                    let elapsed = nanoseconds(begin);
                    if let Some(of_layer) = durations.get_mut(layer) {
                        of_layer.push(elapsed);
                    }
                }
            };
            variant.model.run(&variant.inputs, pool, Some(&mut observe))?;
        }
        let layer = |(info, duration_ns): (super::engine::LayerInfo, Vec<u64>)| Layer {
            name: info.name,
            op: info.op,
            level: info.level,
            kernel: info.kernel,
            macs: info.macs,
            duration_ns,
        };
        Ok(Layers { layers: infos.into_iter().zip(durations).map(layer).collect() })
    }

    fn run(&mut self, given: &Tensors) -> Result<Tensors, String> {
        let (variant, pool) = self.variant(0)?;
        let given = inputs::from_message(&given.tensors, variant.model.inputs())?;
        let begin = Instant::now();
        let outputs = variant.model.run(&given, pool, None)?;
        let duration_ns = nanoseconds(begin);
        let tensors = inputs::to_message(&outputs, variant.model.outputs());
        Ok(Tensors { tensors, duration_ns })
    }

    fn variant(&mut self, index: u32) -> Result<(&mut Loading, &dyn Pool), String> {
        let variant = self.variants.get_mut(index as usize);
        let variant = variant.ok_or_else(|| format!("variant {index} is not loaded"))?;
        Ok((variant, &*self.pool))
    }
}

fn nanoseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
