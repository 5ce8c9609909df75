//! A private headless Chromium, driven by the DevTools protocol over a pair of pipes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{LIMIT, eventually, find_program, require};

/// Sizes of a page on two screens and on a phone.
pub(super) const SCREEN: PageSize = PageSize { width: 1280, height: 900 };
pub(super) const SMALL_SCREEN: PageSize = PageSize { width: 1100, height: 800 };
pub(super) const PHONE: PageSize = PageSize { width: 390, height: 844 };

/// Size of a page in CSS pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    pub(super) width: u32,
    height: u32,
}

/// A browser with one page open.
#[derive(Debug)]
pub(super) struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// `None` where Chromium is not installed and the test is skipped.
    pub(super) fn start() -> Option<Self> {
        if !require("chromium") {
            return None;
        }
        let profile = tempfile::tempdir().expect("a temporary folder");
        // The protocol wants file descriptors 3 and 4, which a shell can give without unsafe code.
        let pipes = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", pipes, "sh"])
            .arg(find_program("chromium").expect("it was required"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--disable-quic", "--no-first-run", "--disable-sync", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let (sender, from) = channel();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            while out.read_until(0, &mut bytes).is_ok_and(|count| count > 0) {
                bytes.pop();
                let message = serde_json::from_slice(&bytes).expect("the protocol is JSON");
                if sender.send(message).is_err() {
                    return;
                }
                bytes.clear();
            }
        });
        let (calls, events) = (0, Vec::new());
        let mut browser = Self { child, to, from, calls, session: None, events, _profile: profile };
        let page = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", &attach)["sessionId"].clone();
        browser.session = session.as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.emulate(SCREEN, "light");
        Some(browser)
    }

    fn receive(&self) -> Value {
        self.from.recv_timeout(LIMIT).expect("Chromium answers")
    }

    /// Calls a method and waits for its result.
    #[track_caller]
    pub(super) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": params});
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{call}\0").as_bytes()).expect("Chromium reads");
        loop {
            let mut message = self.receive();
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Value of a JavaScript expression.
    #[track_caller]
    pub(super) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// The size of the window and the user's preference of `light` or `dark`.
    pub(super) fn emulate(&mut self, size: PageSize, scheme: &str) {
        let PageSize { width, height } = size;
        let mobile = width < 500;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
    }

    /// Opens a file and waits until it is there whole.
    pub(super) fn open(&mut self, file: &Path) {
        self.events.clear();
        let url = format!("file://{}", file.display());
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{answer}");
        let is_there = format!("document.readyState === 'complete' && location.href === '{url}'");
        eventually("the page", || (self.evaluate(&is_there) == true).then_some(()));
    }

    /// Presses a key and lets it go.
    pub(super) fn press(&mut self, key: &str) {
        for kind in ["rawKeyDown", "keyUp"] {
            let code = match key {
                "Tab" => 9,
                "Escape" => 27,
                "End" => 35,
                "ArrowRight" => 39,
                other => panic!("no code for {other}"),
            };
            let params =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &params);
        }
    }

    /// Errors of the page: exceptions, console messages, refusals by its content security policy.
    pub(super) fn complaints(&mut self) -> Vec<Value> {
        // Earlier events arrive before the answer to this call.
        self.evaluate("1");
        let complaint = |event: &&Value| {
            let kinds = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
            kinds.iter().any(|kind| event["method"] == *kind)
        };
        self.events.iter().filter(complaint).cloned().collect()
    }

    /// URLs that the page requested from the network or the disk.
    pub(super) fn requests(&mut self) -> Vec<String> {
        self.evaluate("1");
        let asked = self.events.iter().filter(|e| e["method"] == "Network.requestWillBeSent");
        asked.map(|e| e["params"]["request"]["url"].as_str().unwrap_or("?").to_owned()).collect()
    }
}

impl Drop for Browser {
    /// Asks Chromium to close, which also ends its children, before its folder is removed.
    fn drop(&mut self) {
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
