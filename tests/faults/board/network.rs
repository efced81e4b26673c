//! What a run meets in the network between two machines: a cable that is pulled, a line that is slow and loses packets, and a
//! board that gets another address.
//!
//! The machines are network namespaces of an unprivileged user, joined by a virtual cable; nothing outside of them is
//! touched.

use super::*;
use crate::json;
use crate::trust::Home;

const PORT: &str = "50051";

/// Two machines, and the cable between them. What runs on them is started by [`Machine::run`].
struct Lab {
    host: Machine,
    board: Machine,
}

/// A network namespace, which lasts as long as this process.
struct Machine(Running);

/// Waits until whatever is started by `command` is there.
fn holder(command: &mut Command) -> Option<Machine> {
    command.args(["sh", "-c", "echo ready && exec sleep infinity"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(child.spawn().ok()?);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take()?).read_line(&mut line).ok()?;
    (line == "ready\n").then_some(Machine(running))
}

impl Machine {
    /// What runs `command` on this machine.
    fn run(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--user", "--net", "--preserve-credentials", "--target"]);
        inside.arg(self.0.0.id().to_string()).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            inside.current_dir(folder);
        }
        inside
    }

    /// Runs a line of words, and gives what it prints.
    fn says(&self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next()?);
        let output = self.run(command.args(words)).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn does(&self, line: &str) {
        assert!(self.says(line).is_some(), "{line}");
    }
}

impl Lab {
    /// `None`, said aloud, where this user may not have such a network.
    fn new() -> Option<Self> {
        let lab = Self::try_new();
        if lab.is_none() {
            eprintln!("skipped: `unshare --user --net` and `ip` (iproute2) give no network here");
        }
        lab
    }

    fn try_new() -> Option<Self> {
        let host = holder(Command::new("unshare").args(["--map-root-user", "--net"]))?;
        let board = holder(&mut host.run(Command::new("unshare").arg("--net")))?;
        let lab = Self { host, board };
        let other = lab.board.0.0.id();
        lab.host.says(&format!("ip link add lab type veth peer name lab netns {other}"))?;
        for (machine, address) in [(&lab.host, "10.77.0.1/24"), (&lab.board, "10.77.0.2/24")] {
            machine.says(&format!("ip address add {address} dev lab"))?;
            machine.says("ip link set lab up")?;
            machine.says("ip link set lo up")?;
        }
        Some(lab)
    }

    /// Pulls the cable out of the board, or puts it back.
    fn cable(&self, state: &str) {
        self.board.does(&format!("ip link set lab {state}"));
    }
}

/// A board on the one machine, with a certificate, and what the other one needs to reach it.
struct Site {
    lab: Lab,
    home: Home,
    _board: Board,
    _agent: Running,
}

impl Site {
    fn new() -> Option<Self> {
        let lab = Lab::new()?;
        let (home, board) = (Home::new(), Board::new());
        let mut serve = board.serve(&program("agent"), &format!("0.0.0.0:{PORT}"));
        serve.arg("--identity").arg(home.issue("pi3"));
        let (agent, _) = listening(lab.board.run(&serve));
        Some(Self { lab, home, _board: board, _agent: agent })
    }

    /// `command` on the host, with its keys.
    fn on_host(&self, mut command: Command) -> Command {
        self.home.keys(&mut command);
        self.lab.host.run(&command)
    }

    fn measuring(&self, demo: &Demo, address: &str) -> Running {
        measured_by(self.on_host(profile(demo, address)), demo)
    }

    /// The board is had again soon, and all of it is measured.
    fn is_free(&self, demo: &Demo, address: &str) {
        succeeds_soon(&mut self.on_host(profile(demo, address)));
    }
}

const ADDRESS: &str = "pi3@10.77.0.2";

fn a_cable_is_pulled_for_a_moment() {
    let Some(site) = Site::new() else { return };
    let demo = measured();
    // Ten seconds a stage, by its `max-seconds`.
    demo.change("samples = 10\n", "samples = 90000\n");
    let running = site.measuring(&demo, ADDRESS);
    site.lab.cable("down");
    std::thread::sleep(Duration::from_secs(8));
    assert!(!std::fs::read_to_string(said(&demo)).unwrap().contains("finder: measured"));
    site.lab.cable("up");
    let ended = ended(running, &demo);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn a_cable_is_pulled() {
    let Some(site) = Site::new() else { return };
    let demo = long();
    let before = table(&demo);
    let running = site.measuring(&demo, ADDRESS);
    site.lab.cable("down");
    fails(&ended(running, &demo), &["vanished while measuring", "run the same command again"]);
    let begin = Instant::now();
    let output = site.on_host(profile(&demo, ADDRESS)).output().unwrap();
    fails(&output, &["failed to reach", "10.77.0.2", "check that the board is on"]);
    assert!(begin.elapsed() < BOUND);
    site.lab.cable("up");
    assert_eq!(table(&demo), before, "half a measurement is no row");
    site.is_free(&measured(), ADDRESS);
}

fn a_line_is_slow_and_loses_packets() {
    let Some(site) = Site::new() else { return };
    let slow = "tc qdisc add dev lab root tbf rate 2mbit burst 1600 limit 4000";
    site.lab.host.does(slow);
    site.lab.board.does(slow);
    let demo = measured();
    site.is_free(&demo, ADDRESS);
    let lost: u64 = [&site.lab.host, &site.lab.board]
        .map(|machine| {
            let told = machine.says("tc -s qdisc show dev lab").unwrap();
            let dropped = told.split_once("(dropped ").unwrap().1;
            dropped.split(',').next().unwrap().parse::<u64>().unwrap()
        })
        .iter()
        .sum();
    assert!(lost >= 10, "only {lost} packets were lost");
}

fn a_board_gets_another_address() {
    let Some(site) = Site::new() else { return };
    let mut announce = Command::new(env!("CARGO_BIN_EXE_announce"));
    let announced = Running(site.lab.board.run(announce.args(["pi3", PORT])).spawn().unwrap());
    let demo = measured();
    let on_host = |arguments: &[&str]| site.on_host(demo.orchestrator(arguments)).output().unwrap();
    let listed = json(&on_host(&["device", "list", "--discover"]));
    let found = serde_json::json!([{ "name": "pi3", "address": "pi3.local:50051" }]);
    assert_eq!(listed["discovered"], found);
    site.is_free(&demo, "pi3.local");
    let other = long();
    let running = site.measuring(&other, "pi3.local");
    site.lab.board.does("ip address del 10.77.0.2/24 dev lab");
    site.lab.board.does("ip address add 10.77.0.3/24 dev lab");
    fails(&ended(running, &other), &["vanished while measuring", "run the same command again"]);
    // By its name it is found where it is now, and it is the board that it was.
    site.is_free(&measured(), "pi3.local");
    for address in ["pi3.local", "pi3@10.77.0.3"] {
        let again = json(&on_host(&["profile", "--device", address]));
        assert_eq!((&again["measured"], &again["reused"]), (&0.into(), &table(&demo).len().into()));
    }
    drop(announced);
    let output = on_host(&["profile", "--device", "pi3.local"]);
    fails(&output, &["failed to resolve pi3.local", "nobody answers to that name", "IP address"]);
}

/// All at the same time, since most of them wait for half a minute and do nothing.
#[test]
fn what_happens_to_the_network_costs_at_most_the_run() {
    let faults = [
        a_cable_is_pulled_for_a_moment,
        a_cable_is_pulled,
        a_line_is_slow_and_loses_packets,
        a_board_gets_another_address,
    ];
    std::thread::scope(|scope| {
        let all = faults.map(|fault| scope.spawn(fault));
        all.map(|fault| fault.join().unwrap())
    });
}
