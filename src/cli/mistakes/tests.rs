//! Command lines with a mistake, and the words that the answer must have.

use super::*;

fn line(words: &str) -> CommandLine {
    let words = words.split(' ').map(OsString::from);
    CommandLine { words: std::iter::once(OsString::from("loadgen")).chain(words).collect() }
}

/// The answer to a command line.
fn answer(words: &str) -> String {
    match line(words).parse() {
        Ok(_) => panic!("{words} was accepted"),
        Err(ParseError::Clap(error)) => error.to_string(),
        Err(ParseError::Usage(UsageError(text))) => text,
    }
}

#[test]
fn a_flag_of_another_load_generator_is_answered_with_ours() {
    for (words, part) in [
        (
            "-c 10 -z 5s http://h/",
            "-z is oha's and hey's duration; here it is -d 10s. See docs/migrating.md",
        ),
        ("--vus 10 http://h/", "--vus is k6's number of users; here it is -c N"),
        ("run --vus=10 script.js", "--vus is k6's"),
        ("ramp knee --rps 5", "--rps is k6's rate; here it is -R 5k"),
        ("-rate=100/s http://h/", "write --rate"),
        ("-rate 100 http://h/", "write --rate"),
        ("attack -rate=100", "attack is vegeta's; here it is `loadgen -R 50 -d 10s URL`"),
        ("-X POST http://h/", "-X is curl's method; here it is -m POST"),
        ("-a user:pw http://h/", "-a is oha's and hey's user and password"),
        ("-q 100 http://h/", "the rate of oha's and hey's -q 100 is -R 100 here"),
        ("-q 100", "the rate of oha's and hey's -q 100 is -R 100 here"),
        (
            "-p 8 http://h/",
            "--http2 --streams N. -p is ab's file with the body; here it is -f FILE",
        ),
        ("-workers=4 http://h/", "-workers is vegeta's number of connections"),
        ("-d {\"a\":1} http://h/", "-d is oha's and hey's body; here it is -b TEXT"),
        ("-T application/json http://h/", "-T is oha's, hey's and ab's type of the body"),
        ("-t 20s http://h/", "-t is oha's and hey's timeout; here it is -T 2s"),
        ("-z5s http://h/", "-z is oha's"),
        ("plot results.bin", "plot is vegeta's"),
    ] {
        let said = answer(words);
        assert!(said.contains(part), "{words}: {said}");
    }
}

#[test]
fn an_unknown_flag_is_never_to_be_put_behind_two_hyphens() {
    for words in ["-z 5s", "--frobnicate", "-Y", "api -Y", "compare -z a b", "run -- -z http://h/"]
    {
        let said = match line(words).parse() {
            Ok(_) => continue,
            Err(ParseError::Clap(error)) => error.to_string(),
            Err(ParseError::Usage(UsageError(text))) => text,
        };
        assert!(!said.contains("to pass '"), "{words}: {said}");
    }
    assert!(answer("--durations 5s").contains("--duration"), "a near flag of ours is named");
    assert!(!answer("api -p 80").contains("oha"), "a service has no flag of a load generator");
}

#[test]
fn a_word_in_the_place_of_the_url_is_answered_with_its_flag() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let profile = file("a.toml", "rate = 5\n");
    let ramp = file("b.toml", "rate = 5\n[[step]]\nname = 'a'\n");
    let other = file("notes.txt", "");
    for (words, part) in [
        (profile.as_str(), format!("it is a profile; run it with `loadgen --profile {profile}`")),
        (&ramp, format!("it is a profile; run it with `loadgen ramp {ramp}`")),
        (&other, "it is a file. A profile is given with --profile FILE".to_owned()),
        ("nowhere/a.toml", "as a profile it cannot be read: No such file".to_owned()),
        ("smoke", "run it with `loadgen --profile smoke`".to_owned()),
        ("knee -R 5", "run it with `loadgen ramp knee`".to_owned()),
        ("run smoke", "run it with `loadgen --profile smoke`".to_owned()),
        (
            "script.js",
            "k6 scripts are not supported. A Lua script for wrk is given with -s".to_owned(),
        ),
        ("run script.js http://h/", "k6 scripts are not supported".to_owned()),
        ("plan.jmx", "JMeter's plans are not supported".to_owned()),
        ("post.lua", "a script is given with -s post.lua".to_owned()),
        ("report.json", "printed with `loadgen report report.json`".to_owned()),
        ("-d 10 s", "'s' is not a URL; write 10s, without the space".to_owned()),
        ("-d 10 s http://h/", "write 10s, without the space".to_owned()),
        ("POST http://h/", "the method is given with -m POST".to_owned()),
        ("http://h/ http://i/", "there can be one URL".to_owned()),
        ("rmap knee", "did you mean `loadgen ramp`?".to_owned()),
    ] {
        let said = answer(words);
        assert!(said.contains(&part), "{words}: {said}");
    }
}

#[test]
fn a_right_command_line_is_parsed() {
    for words in [
        "-c 10 -d 5s http://h/",
        "-q http://h/",
        "-m get http://h/post.lua",
        "http://h/x.toml",
        "-s post.lua http://h/ -- -rate -z",
        "report r.json",
        "--rate=24k -L",
    ] {
        assert!(line(words).parse().is_ok(), "{words}");
    }
}

#[test]
fn a_mistyped_command_is_told_from_a_url() {
    for (word, meant) in
        [("rmap", "ramp"), ("compar", "compare"), ("Report", "report"), ("hlep", "help")]
    {
        let said = mistyped_command(word).expect(word).to_string();
        assert!(said.contains(&format!("`loadgen {meant}`")), "{said}");
    }
    // Commands, flags, URLs, and words that resemble no command.
    let flags = ["-c", "--rate", ""];
    let others = ["ramp", "help", "embedded", "http://ramp/", "ramp:80", "localhost", "zürich"];
    for word in flags.into_iter().chain(others) {
        assert!(mistyped_command(word).is_none(), "{word}");
    }
}
