//! Several requests through the whole pipeline, and their arrivals by name.

use std::fs;

use crate::support::report_of;

const PROFILE: &str = "\
rate = '500'
requests = 600
threads = 2
sample = 10
[[request]]
name = 'small'
weight = 3
[[request]]
name = 'rows'
path = '/any/{{where}}'
body-lines = 'DIR/lines.txt'
data = 'DIR/rows.csv'
[[request]]
name = 'health'
weight = 2
method = 'GET'
path = '/healthz'
";

#[test]
fn arrivals_are_reported_by_request_and_only_messages_can_be_missed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        file.display().to_string()
    };
    write("lines.txt", "{\"MsgID\":{{msg_id}},\"to\":\"{{where}}\"}\n{\"MsgID\":{{msg_id}}}\n");
    write("rows.csv", "where\nParis\n\"New \"\"York\"\"\"\n");
    let folder_name = folder.path().display().to_string();
    let profile = write("mix.toml", &PROFILE.replace("DIR", &folder_name));
    let (finished, report) = report_of(&format!("--stack embedded --profile {profile}"), |_| ());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let rows = report.list("by_request");
    let counts = |field: &str| -> Vec<_> { rows.iter().map(|row| row[field].as_u64()).collect() };
    assert_eq!(counts("sent"), [Some(300), Some(100), Some(200)]);
    assert_eq!(counts("completed"), [Some(300), Some(100), Some(200)]);
    let arrived: Vec<_> = rows.iter().map(|row| row["arrival"]["count"].as_u64()).collect();
    assert_eq!(arrived, [Some(300), Some(100), None]);
    for (name, count) in [("accepted", 400), ("arrived", 400), ("lost", 0), ("unknown", 0)] {
        assert_eq!(report.count(&format!("messages.{name}")), count, "{name}");
    }
    assert_eq!(report.count("requests.status.200"), 600);
    let notes: Vec<_> = report.list("verdict.notes").iter().filter_map(|n| n.as_str()).collect();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("a header or the URL of health: messages and arrival")),
        "{notes:?}"
    );
}
