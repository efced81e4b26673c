//! Models that misbehave, for the worker that this test program becomes when it is started as one.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use quantrack_agent::worker::engine::{Edge, LayerInfo};
use quantrack_agent::worker::{Loader, Model, Port, Resources};
use quantrack_engine::{Pool, Tensor};

/// All that there are.
const NAMES: [&str; 11] = [
    "double", "slow", "spin", "crash", "allocate", "stop", "kill", "fork", "write", "shout",
    "network",
];

/// How many seconds the process sleeps that `fork` starts, by which it can be told from others.
pub(crate) const FORKED: &str = "86397.25";

/// Loads a model from its name.
pub(crate) struct Models;

impl Loader for Models {
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, String> {
        let name = String::from_utf8_lossy(bytes).into_owned();
        if !NAMES.contains(&name.as_str()) {
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
            "stop" => nix::sys::signal::raise(Signal::SIGSTOP).unwrap(),
            "kill" => nix::sys::signal::raise(Signal::SIGKILL).unwrap(),
            "fork" => {
                let child = std::process::Command::new("/bin/sleep").arg(FORKED).spawn();
                child.unwrap().wait().map(drop).unwrap();
            }
            "write" => {
                let file = std::env::temp_dir().join("quantrack-test");
                std::fs::write(file, vec![0; 1 << 20]).unwrap();
            }
            "shout" => std::io::stderr().write_all(&vec![b'x'; 8 << 20]).unwrap(),
            "network" => reach_out()?,
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

/// Talks to itself over loopback.
fn reach_out() -> Result<(), String> {
    let listener =
        TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no network: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    TcpStream::connect_timeout(&address, Duration::from_millis(500))
        .map(drop)
        .map_err(|error| format!("no network: {error}"))
}
