//! Parse, run, print the error chain once, exit code. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    loadgen::cli::main()
}
