//! `tidings serve`: run a hub.

mod gateway;
mod greeting;
mod history;
mod tls;

use std::{
    io::{IsTerminal, Write, stderr},
    pin::pin,
};

use anyhow::Context;
use tidings_hub::{Access, Hub};
use tracing::Level;

use self::{greeting::Greeting, tls::Certificate};
use crate::{
    cli::Serve,
    config::{Settings, policy},
    console,
    exit::causes,
    net::listen::bind,
    signals::{Hangup, stop_signal},
};

/// How many open files are left to the hub itself, beside its readers': the log, attachments, and what waits for the next
/// connection.
const RESERVED_FILES: u64 = 64;

pub(crate) async fn run(serve: Serve) -> anyhow::Result<()> {
    start_logging(serve.verbose);
    // Each subscriber is a file descriptor, and many systems begin with 1,024.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files cannot be raised, so there may be room for few subscribers only");
    }
    let settings = Settings::of(&serve)?;
    let listener = bind(settings.listen)?;
    let address = listener.local_addr().context("the address of the listener is not known")?;
    let metrics = match serve.metrics_listen.map(bind).transpose()? {
        Some(listener) => {
            let address = listener.local_addr().context("the address for metrics is not known")?;
            Some((listener, address))
        }
        None => None,
    };

    let (log, history) = history::open(&settings)?;
    // The hub keeps its own files beside its history.
    let gateway = gateway::settings(&serve, &settings)?;
    let certificate = tls::open(&serve, settings.log_url.directory())?;
    let access = settings.hub.access.clone();
    let mut settings = settings.hub;
    settings.max_connections = max_connections(serve.max_connections, serve.readers);
    settings.pages = console::pages();
    let hub = match gateway {
        Some(gateway) => Hub::with_gateway(log, settings, gateway),
        None => Hub::new(log, settings),
    };

    // A program that reads the greeting may then stop the hub, and make it read its certificate again.
    let (stop, mut hangup) = (stop_signal()?, Hangup::listen()?);
    let greeting = Greeting {
        address,
        access: &access,
        everyone: &serve.anonymous,
        hosts: &serve.allow_host,
        history: &history,
        certificate: certificate.as_ref(),
        upstream: serve.gateway.upstream.as_deref(),
        metrics: metrics.as_ref().map(|(_, address)| *address),
    };
    say(&greeting.to_string());
    let tls = certificate.as_ref().map(|certificate| certificate.tls.clone());
    let mut serving = tokio::spawn({
        let hub = hub.clone();
        async move {
            match tls {
                Some(tls) => hub.serve_tls(listener, tls).await,
                None => hub.serve(listener).await,
            }
        }
    });
    if let Some((listener, _)) = metrics {
        let hub = hub.clone();
        // It ends when the hub shuts down.
        tokio::spawn(async move { hub.serve_metrics(listener).await });
    }
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            stopped = &mut stop => break stopped?,
            ended = &mut serving => {
                // The log says what ended the server. The process ends too, because nothing is served.
                hub.shutdown().await;
                ended.context("the server failed")?;
                anyhow::bail!("the server has ended by itself; the log says why");
            }
            () = hangup.next() => reload(&serve, &hub, &access, certificate.as_ref()),
        }
    }
    say("Stopping: subscribers are told to come back.\n");
    hub.shutdown().await;
    serving.await.context("the server failed")
}

/// Reads the files again that operators change while a hub runs, and goes on in a new audit log.
fn reload(serve: &Serve, hub: &Hub, access: &Access, certificate: Option<&Certificate>) {
    if let Some(certificate) = certificate {
        certificate.reload();
    }
    if let Access::Control(control) = access {
        if let Some(audit) = control.audit().cloned() {
            // It may wait for the disk.
            tokio::task::spawn_blocking(move || audit.reopen());
        }
    }
    match policy(serve) {
        Ok(Some(policy)) => {
            hub.set_policy(policy);
            tracing::info!("the keys and rules of access were read again");
        }
        Ok(None) if certificate.is_none() => {
            tracing::info!("SIGHUP: there is nothing to read anew, and the hub goes on");
        }
        Ok(None) => {}
        Err(error) => tracing::error!("the old keys and rules of access stay in use: {}", causes(&error)),
    }
}

/// How many connections there may be: what was asked for, or all that the limit of open files leaves.
fn max_connections(asked: Option<u32>, readers: u16) -> Option<usize> {
    let limit = open_files();
    // Two or three files for each reader.
    let reserve = RESERVED_FILES + 3 * u64::from(readers);
    match (asked, limit) {
        (Some(asked), Some(limit)) if u64::from(asked) > limit.saturating_sub(reserve) => {
            tracing::warn!(
                asked,
                limit,
                reserve,
                "--max-connections leaves too few of the open files to the hub itself"
            );
            Some(asked as usize)
        }
        (Some(asked), _) => Some(asked as usize),
        // A limit that is lower still is shared.
        (None, Some(limit)) => usize::try_from(limit.saturating_sub(reserve).max(limit / 4).max(1)).ok(),
        (None, None) => None,
    }
}

/// The limit of open files, where there is one.
fn open_files() -> Option<u64> {
    #[cfg(unix)]
    return rlimit::Resource::NOFILE.get_soft().ok().filter(|limit| *limit != rlimit::INFINITY);
    #[cfg(not(unix))]
    None
}

/// Tells the person at the terminal. The terminal may be gone by now, and the hub does not depend on it.
fn say(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => Level::INFO,
        1 => Level::DEBUG,
        _ => Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        // They would go to the same place, which may be a terminal that is gone, and end the task that logs.
        .log_internal_errors(false)
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .init();
}
