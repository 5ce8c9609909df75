//! Profiles that are built into the program, so that an installed loadgen has them: `loadgen ramp knee`.

use std::io;
use std::path::Path;

use crate::config::plan::read::{MOST_PROFILE, read_text_bounded};

/// Name and text of each built-in profile, in alphabetical order.
pub(super) const BUILT_IN: [(&str, &str); 7] = [
    ("concurrency", include_str!("../../profiles/concurrency.toml")),
    ("coupling", include_str!("../../profiles/coupling.toml")),
    ("knee", include_str!("../../profiles/knee.toml")),
    ("rate", include_str!("../../profiles/rate.toml")),
    ("smoke", include_str!("../../profiles/smoke.toml")),
    ("soak", include_str!("../../profiles/soak.toml")),
    ("threads", include_str!("../../profiles/threads.toml")),
];

/// Returns the text of a profile: of the file, or, if there is no such file, of the built-in profile with that
/// name. A bare name that is neither is refused with the names of the built-in profiles.
pub(super) fn read_profile_text(file: &Path) -> io::Result<String> {
    let error = match read_text_bounded(file, MOST_PROFILE, "a profile") {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let is_bare_name = file.components().count() == 1 && file.extension().is_none();
    if error.kind() != io::ErrorKind::NotFound || !is_bare_name {
        return Err(error);
    }
    let built_in = BUILT_IN.iter().find(|(name, _)| Path::new(name) == file);
    built_in.map(|(_, text)| (*text).to_owned()).ok_or_else(|| {
        let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        io::Error::new(
            error.kind(),
            format!("{error}; the built-in profiles are {}", names.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Settings;
    use crate::ramp::{RampPlan, is_ramp};

    #[test]
    fn each_file_of_the_profiles_folder_is_built_in_and_valid() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, BUILT_IN.map(|(name, _)| name));
        for (name, text) in BUILT_IN {
            if is_ramp(text) {
                let plan = RampPlan::new(Path::new(name), text, Settings::default(), String::new());
                plan.unwrap_or_else(|error| panic!("{name}: {error}"));
            } else {
                Settings::from_toml(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }

    #[test]
    fn a_name_finds_a_built_in_profile_and_a_path_does_not() {
        let text = read_profile_text(Path::new("knee")).expect("it is built in");
        assert!(text.contains("[search]"));
        let unknown = read_profile_text(Path::new("knees")).expect_err("not built in").to_string();
        assert!(
            unknown.ends_with(
                "the built-in profiles are concurrency, coupling, knee, rate, smoke, soak, threads"
            ),
            "{unknown}"
        );
        let path = read_profile_text(Path::new("/nowhere/knee")).expect_err("not a name");
        assert!(!path.to_string().contains("built-in"), "{path}");
    }

    #[test]
    fn a_file_comes_before_a_built_in_profile_of_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("knee");
        std::fs::write(&file, "rate = 7\n").expect("a file");
        assert_eq!(read_profile_text(&file).expect("a file"), "rate = 7\n");
    }
}
