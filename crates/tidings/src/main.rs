//! The `tidings` program.

mod cli;
mod cmd;
mod config;
mod console;
#[cfg(feature = "doctor")]
mod doctor;
mod exit;
#[cfg(any(feature = "bench", feature = "chaos"))]
mod lab;
mod net;
mod progress;
mod signals;
mod terminal;

use std::{io, process::ExitCode};

use tokio::runtime::{Builder, Runtime};

use crate::{
    cli::Command,
    config::{Environment, Origins},
    exit::{DamagedLog, Exit, Hint, Unreachable, UsageError, causes},
};

/// Makes the runtime. If a hub may use at most one core, or less than two, it runs on one thread. A runtime with
/// several threads would give it one worker too, next to the waiting main thread, at a higher price.
fn runtime(command: &Command) -> io::Result<Runtime> {
    let has_one_core = std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
    let mut builder = match command {
        Command::Serve(_) if has_one_core => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn main() -> ExitCode {
    let line: Vec<_> = std::env::args_os().skip(1).collect();
    let (cli, origins) = match config::parse(&line, &[&Environment::of_process()]) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Requested text, such as --help, goes to standard output, and errors go to standard error.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
    };
    let runtime = match runtime(&cli.command) {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(&anyhow::Error::new(error).context("cannot start the runtime"), None).into();
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            #[cfg(feature = "doctor")]
            Command::Doctor(doctor) => return doctor::run(*doctor).await,
            Command::Serve(serve) => cmd::serve::run(*serve).await,
            Command::Publish(publish) => cmd::publish::run(publish).await,
            Command::Subscribe(subscribe) => cmd::subscribe::run(subscribe).await,
            Command::Log(log) => cmd::log::run(log).await,
            Command::Token(token) => return cmd::token::run(token).await,
            Command::Access(access) => cmd::access::run(access),
            #[cfg(feature = "bench")]
            Command::Bench(bench) => lab::bench::run(bench).await,
            #[cfg(feature = "chaos")]
            Command::Chaos(chaos) => lab::chaos::run(chaos).await,
            #[cfg(not(all(feature = "doctor", feature = "bench", feature = "chaos")))]
            absent => Err(cli::absent(&absent)),
        }
        .map(|()| Exit::Success)
    });
    // A read of standard input cannot be cancelled, so do not wait for its thread.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(error) => report(&error, origins.as_ref()).into(),
    }
}

/// Prints the chain of causes, then the next step if there is one. The cause of an error of usage may be a variable.
fn report(error: &anyhow::Error, origins: Option<&Origins>) -> Exit {
    let hint = error.downcast_ref::<Hint>();
    terminal::say(&format!("tidings: {}", causes(error)));
    if let Some(hint) = hint {
        terminal::say(&hint.to_string());
    }
    if error.downcast_ref::<UsageError>().is_some() {
        if let Some(origins) = origins {
            terminal::say(&origins.to_string());
        }
        Exit::Usage
    } else if error.downcast_ref::<Unreachable>().is_some() {
        Exit::Unreachable
    } else if error.downcast_ref::<DamagedLog>().is_some() {
        Exit::Damaged
    } else {
        Exit::Failure
    }
}
