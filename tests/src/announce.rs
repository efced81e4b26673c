//! Announces the agent of a board called NAME in the networks of this machine, as `deploy/avahi` has a board do, until killed.
//!
//!     announce NAME PORT

use std::error::Error;

use mdns_sd::{ServiceDaemon, ServiceInfo};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (name, port) = arguments.next().zip(arguments.next()).ok_or("announce NAME PORT")?;
    let host = format!("{name}.local.");
    let service =
        ServiceInfo::new("_quantrack._tcp.local.", &name, &host, "", port.parse()?, None)?;
    let daemon = ServiceDaemon::new()?;
    // How soon it notices that its address has changed.
    daemon.set_ip_check_interval(1)?;
    daemon.register(service.enable_addr_auto())?;
    loop {
        std::thread::park();
    }
}
