//! The program: what was asked for, who carries it out, and the exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use pelton::error::{Actor, Error};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    cli::start_log(&arguments);
    match cli::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.actor().exit_code())
        }
    }
}

/// The whole chain of causes, one a line, and whose it is.
fn complain(error: &Error) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    if error.actor() == Actor::Us {
        eprintln!("  this is a bug in pelton; please report it with the log");
    }
}
