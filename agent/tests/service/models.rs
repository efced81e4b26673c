//! Models that misbehave, for the worker that this test program becomes when it is started as one.

use std::time::{Duration, Instant};

use quantrack_agent::worker::engine::{Edge, LayerInfo};
use quantrack_agent::worker::{Loader, Model, Port, Resources};
use quantrack_engine::{Pool, Tensor};

/// Loads a model from its name: `double`, `slow`, `spin`, `crash`, `allocate`.
pub(crate) struct Models;

impl Loader for Models {
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, String> {
        let name = String::from_utf8_lossy(bytes).into_owned();
        if !["double", "slow", "spin", "crash", "allocate"].contains(&name.as_str()) {
            return Err(format!("{name:?} is no model"));
        }
        let ports = vec![Port { name: "x".to_owned(), shape: vec![2, 2] }];
        Ok(Box::new(Named { name, ports }))
    }
}

struct Named {
    name: String,
    ports: Vec<Port>,
}

impl Model for Named {
    fn inputs(&self) -> &[Port] {
        &self.ports
    }

    fn outputs(&self) -> &[Port] {
        &self.ports
    }

    fn resources(&self, _threads: usize) -> Resources {
        Resources { arena_bytes: 32, weight_bytes: 0, kernels: vec!["none".to_owned()] }
    }

    fn layers(&self) -> Vec<LayerInfo> {
        vec![LayerInfo { name: "only".to_owned(), ..LayerInfo::default() }]
    }

    fn run(
        &mut self,
        inputs: &[Tensor],
        _pool: &dyn Pool,
        observe: Option<&mut (dyn FnMut(usize, Edge) + Send)>,
    ) -> Result<Vec<Tensor>, String> {
        match self.name.as_str() {
            "slow" => std::thread::sleep(Duration::from_millis(20)),
            "spin" => loop {
                std::hint::black_box(Instant::now());
            },
            "crash" => std::process::abort(),
            "allocate" => drop(std::hint::black_box(vec![1u8; 1 << 40])),
            _ => {}
        }
        if let Some(observe) = observe {
            observe(0, Edge::Begin);
            observe(0, Edge::End);
        }
        Ok(inputs.iter().map(|input| input * 2.0).collect())
    }
}
