//! The structure of the project: imports of the sources go one way, in the layers that `src/lib.rs` draws, and
//! links of the documents lead somewhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer may use itself and those before it.
const LAYERS: [&[&str]; 13] = [
    &["core"],
    &["message"],
    &["host", "net"],
    &["engine"],
    &["config"],
    &["report"],
    &["analysis"],
    &["output"],
    &["script", "pipeline"],
    &["run"],
    &["ramp"],
    &["fleet"],
    &["cli"],
];

/// Modules that may not use each other although their layers would allow it.
const STRANGERS: [(&str, &str); 8] = [
    ("pipeline", "engine"),
    ("report", "run"),
    ("analysis", "run"),
    ("output", "run"),
    ("report", "engine"),
    ("report", "net"),
    ("report", "pipeline"),
    ("report", "script"),
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// Files with an extension in a folder and the folders below it.
pub(crate) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            files.push(path);
        }
    }
    files
}

/// The top-level modules a source names, in code: comments and doc examples do not count.
fn used(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names =
        code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let word =
        |rest: String| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    names.map(word).filter(|word: &String| layer(word).is_some()).collect()
}

/// Module → modules it uses, with one file that does.
fn imports() -> BTreeMap<(String, String), PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = BTreeMap::new();
    for file in files_below(&root, "rs") {
        let inside = file.strip_prefix(&root).expect("below the root");
        let first = inside.components().next().expect("a file").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs").to_owned();
        if ["lib", "main", "fuzz", "bench"].contains(&module.as_str()) {
            continue;
        }
        assert!(layer(&module).is_some(), "module {module} is in no layer");
        for target in used(&fs::read_to_string(&file).expect("a source file")) {
            imports.insert((module.clone(), target), inside.to_owned());
        }
    }
    imports
}

#[test]
fn imports_follow_the_layers() {
    let imports = imports();
    assert!(imports.len() > 20, "the reader of imports reads nothing");
    for ((from, to), file) in imports {
        assert!(
            layer(&to) <= layer(&from),
            "{} ({from}) uses {to}, of a later layer",
            file.display()
        );
        let strangers = STRANGERS.contains(&(from.as_str(), to.as_str()));
        assert!(!strangers, "{} ({from}) may not know {to}", file.display());
    }
}

/// Crates that only other rooms use.
const FOREIGN_CRATES: [(&str, &[&str]); 2] = [
    ("engine", &["redis", "rumqttc", "mlua", "indicatif", "anyhow", "toml"]),
    ("script", &["redis", "rumqttc", "reqwest", "indicatif", "anyhow", "clap", "toml"]),
];

#[test]
fn the_engine_and_scripts_name_no_crate_of_other_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (room, crates) in FOREIGN_CRATES {
        let files = files_below(&root.join(room), "rs");
        assert!(files.len() > 5, "the room {room} is not read");
        for file in files {
            let source = fs::read_to_string(&file).expect("a source file");
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let foreign = crates.iter().find(|name| {
                    line.contains(&format!("{name}::")) && !line.contains(&format!("_{name}::"))
                });
                assert_eq!(foreign, None, "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn modules_of_a_layer_do_not_import_each_other() {
    let imports = imports();
    for (from, to) in imports.keys().filter(|(from, to)| from != to) {
        assert!(
            !imports.contains_key(&(to.clone(), from.clone())),
            "{from} and {to} use each other"
        );
    }
}

/// The documents that readers follow links in.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = [root.to_owned(), root.join("docs")].map(fs::read_dir);
    let paths = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")).collect()
}

/// Targets of the Markdown links in a text: what stands between `](` and `)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
}

/// Anchors of a text, as GitHub makes them of headings: lower case, hyphens for spaces, no punctuation.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    titles.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn links_of_the_documents_have_existing_targets() {
    let documents = documents();
    assert!(documents.len() > 10, "the reader of documents reads nothing");
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().expect("a folder").join(file),
            };
            assert!(target.exists(), "{}: the link {link} leads nowhere", document.display());
            let is_found = anchor.is_empty()
                || anchors(&fs::read_to_string(&target).expect("a document"))
                    .contains(&anchor.to_owned());
            assert!(is_found, "{}: {link} names no heading", document.display());
        }
    }
}

#[test]
fn the_readme_stays_short() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let lines = fs::read_to_string(readme).expect("the README").lines().count();
    assert!(lines <= 180, "README.md has {lines} lines: move details to docs/");
}

#[test]
fn the_book_has_every_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let contents = fs::read_to_string(docs.join("SUMMARY.md")).expect("the table of contents");
    for page in fs::read_dir(&docs).expect("the pages").flatten() {
        let name = page.file_name().into_string().expect("a name in UTF-8");
        let is_page = name.ends_with(".md") && name != "SUMMARY.md";
        assert!(!is_page || contents.contains(&format!("({name})")), "{name} is not in the book");
    }
}
