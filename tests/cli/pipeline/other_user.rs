//! Another user of the machine beside the servers that a run starts.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process as ProcProcess};
use rustix::process::Signal;

use crate::support::{
    Process, child_called, children_of, command_line, eventually, find_program, report_of, require,
    require_stack, skip_unless_ci,
};

/// User id of `nobody`.
const NOBODY: u32 = 65_534;

/// Runs a command as `nobody`.
fn as_nobody(program: &str, words: &[&str]) -> Output {
    let mut command = Command::new(find_program(program).expect("it was required"));
    command.uid(NOBODY).gid(NOBODY).args(words).env_remove("REDISCLI_AUTH").current_dir("/");
    command.output().expect("it runs")
}

fn can_change_user() -> bool {
    let is_root = rustix::process::getuid().is_root();
    if !is_root {
        skip_unless_ci("only root can become another user");
    }
    is_root
        && require_stack()
        && ["redis-cli", "mosquitto_sub", "mosquitto_pub", "bash"].into_iter().all(require)
}

/// The port on which a process listens.
fn listening_port(pid: u32) -> Option<String> {
    let files = ProcProcess::new(pid.cast_signed()).ok()?.fd().ok()?.flatten();
    let inodes: Vec<_> = files
        .filter_map(|file| match file.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let mut sockets = procfs::net::tcp().ok()?.into_iter();
    let listener =
        sockets.find(|tcp| tcp.state == TcpState::Listen && inodes.contains(&tcp.inode))?;
    Some(listener.local_address.port().to_string())
}

/// The password in an address of a process's environment, as root reads it.
fn password_of(pid: u32, variable: &str) -> String {
    let environment = ProcProcess::new(pid.cast_signed()).and_then(|process| process.environ());
    let environment = environment.expect("root may read it");
    let url = environment.get(std::ffi::OsStr::new(variable)).expect("it is set");
    let url = url::Url::parse(url.to_str().expect("text")).expect("a URL");
    url.password().expect("a password").to_owned()
}

/// Servers and services of a run.
struct Processes {
    redis: u32,
    broker: u32,
    api: u32,
    push: u32,
}

impl Processes {
    fn of(run: &Process, stack: &str) -> Self {
        let named = |name: &'static str| eventually(name, || child_called(run.pid(), name));
        // A service starts after the servers.
        let (api, push) = (named("api"), named("push"));
        let (redis, broker) = match stack {
            "spawned" => (named("redis-server"), named("mosquitto")),
            _ => (embedded(run, "queue"), embedded(run, "broker")),
        };
        Self { redis, broker, api, push }
    }
}

/// The child `loadgen embedded NAME`.
fn embedded(run: &Process, name: &str) -> u32 {
    eventually(name, || {
        let children = children_of(run.pid());
        children.into_iter().find(|pid| {
            command_line(*pid).get(1..3).is_some_and(|words| words == ["embedded", name])
        })
    })
}

#[track_caller]
fn assert_no_access_to_redis(port: &str) {
    for words in [
        "PING",
        "LLEN myapp",
        "LRANGE apiserver 0 -1",
        "LPUSH myapp {}",
        "DEL myapp",
        "FLUSHALL",
        "SAVE",
        "CONFIG SET maxmemory 1",
        "SHUTDOWN NOSAVE",
        "CLIENT KILL TYPE normal",
        "AUTH loadgen",
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let output = as_nobody("redis-cli", &[&["-p", port][..], &words].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let refused = ["NOAUTH", "WRONGPASS", "ERR unknown command"];
        assert!(refused.iter().any(|word| said.contains(word)), "{words:?}: {output:?}");
    }
}

#[track_caller]
fn assert_no_access_to_broker(port: &str) {
    for (program, words) in [
        ("mosquitto_sub", "-t # -C 1 -W 5"),
        ("mosquitto_sub", "-t $SYS/# -C 1 -W 5 -u loadgen -P loadgen"),
        ("mosquitto_pub", "-t /channel -m {\"MsgID\":1}"),
    ] {
        let words: Vec<_> = words.split(' ').collect();
        let output = as_nobody(program, &[&["-p", port][..], &words].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let refused = ["not authorised", "bad user name or password"];
        assert!(refused.iter().any(|word| said.contains(word)), "{program} {words:?}: {output:?}");
    }
}

#[track_caller]
fn assert_no_access_to_api(port: &str) {
    let body = "{\"MsgID\":1}";
    let length = body.len();
    let request = format!("POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: {length}\\r\\n");
    let send = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port} && printf '{request}Connection: close\\r\\n\\r\\n{body}' >&3; cat <&3"
    );
    // Closed without an answer, or reset while it sends or waits.
    let output = as_nobody("bash", &["-c", &send]);
    assert!(output.stdout.is_empty(), "{output:?}");
    // The user of the run gets an answer to a body without an id.
    let own = send.replace("MsgID", "Other");
    let own = Command::new("bash").args(["-c", &own]).output().expect("it runs");
    assert!(own.stdout.starts_with(b"HTTP/1.1 4"), "{own:?}");
}

/// Tries everything that another user could. Returns the passwords of the servers.
fn attack(run: &Process, stack: &str) -> [String; 2] {
    let Processes { redis, broker, api, push } = Processes::of(run, stack);
    let port = |pid| eventually("a listening port", || listening_port(pid));
    let redis_port = port(redis);
    assert_no_access_to_redis(&redis_port);
    assert_no_access_to_broker(&port(broker));
    assert_no_access_to_api(&port(api));
    let passwords = [password_of(push, "LOADGEN_REDIS"), password_of(push, "LOADGEN_MQTT")];
    assert_ne!(passwords[0], passwords[1]);
    for pid in [redis, broker, api, push, run.pid()] {
        let words = command_line(pid).join(" ");
        assert!(!passwords.iter().any(|password| words.contains(password)), "{words}");
        for file in ["environ", "fd/0", "fd/3", "mem"] {
            let file = format!("/proc/{pid}/{file}");
            assert!(!as_nobody("cat", &[&file]).status.success(), "{file}");
        }
        assert!(!as_nobody("kill", &[&pid.to_string()]).status.success(), "{pid}");
    }
    for words in [&["SAVE"][..], &["BGSAVE"], &["CONFIG", "GET", "*"], &["SHUTDOWN"]] {
        let mut command = Command::new(find_program("redis-cli").expect("it was required"));
        command.args(["-p", &redis_port]).args(words).env("REDISCLI_AUTH", &passwords[0]);
        let said = String::from_utf8(command.output().expect("it runs").stdout).expect("text");
        assert!(said.contains("unknown command"), "with the password, {words:?}: {said}");
    }
    passwords
}

fn check(stack: &str) {
    let mut passwords = None;
    let words = format!("-R 200 -d 1h --sample 1 --stack {stack}");
    let (finished, report) = report_of(&words, |run| {
        passwords = Some(attack(run, stack));
        run.signal(Signal::INT);
    });
    let passwords = passwords.expect("it was attacked");
    for text in [&finished.stdout, &finished.stderr, &report.json()] {
        assert!(!passwords.iter().any(|password| text.contains(password)), "{text}");
    }
    for none in ["lost", "unexpected", "duplicated"] {
        assert_eq!(report.count(&format!("messages.{none}")), 0, "{none}");
    }
    assert_eq!(report.count("messages.arrived"), report.count("messages.accepted"));
}

#[test]
fn another_user_gets_nothing_from_redis_and_mosquitto_of_a_run() {
    if can_change_user() {
        check("spawned");
    }
}

#[test]
fn another_user_gets_nothing_from_the_embedded_servers_of_a_run() {
    if can_change_user() {
        check("embedded");
    }
}
