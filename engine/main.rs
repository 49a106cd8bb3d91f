//! The program: what was asked for, who carries it out, and the exit code.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use pelton::error::{Actor, Error};

fn main() -> ExitCode {
    end_when_nobody_reads();
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

/// Whoever reads what is printed may have had enough (`pelton check --settings | head`): that is
/// the end, and no bug.
fn end_when_nobody_reads() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        if text.is_some_and(|text| text.starts_with("failed printing to stdout")) {
            std::process::exit(0);
        }
        usual(panic);
    }));
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
