//! `tidings serve`: run a hub.

mod gateway;
mod history;
mod tls;

use std::{
    io::{IsTerminal, Write, stderr},
    net::SocketAddr,
    pin::pin,
};

use anyhow::Context;
use tidings_hub::{Access, Hub};
use tracing::Level;

use self::tls::Certificate;
use crate::{
    cli::{Anonymous, Serve},
    config::Settings,
    console,
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
    let upstream = serve.gateway.upstream.as_deref();
    let everyone = &serve.anonymous;
    say(&greeting(address, &access, everyone, &serve.allow_host, &history, certificate.as_ref(), upstream));
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
            () = hangup.next() => match &certificate {
                Some(certificate) => certificate.reload(),
                None => tracing::info!("SIGHUP: there is no certificate to read anew, and the hub goes on"),
            },
        }
    }
    say("Stopping: subscribers are told to come back.\n");
    hub.shutdown().await;
    serving.await.context("the server failed")
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

fn greeting(
    address: SocketAddr,
    access: &Access,
    everyone: &[Anonymous],
    hosts: &[String],
    history: &str,
    certificate: Option<&Certificate>,
    upstream: Option<&str>,
) -> String {
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    let encryption =
        certificate.map(|certificate| format!("  TLS      {}\n", certificate.describe())).unwrap_or_default();
    let trust = certificate.map(Certificate::curl_flags).unwrap_or_default();
    let who = match access {
        Access::Loopback => {
            "anyone on this machine may publish and subscribe; no other machine can reach it".into()
        }
        Access::Anonymous(_) => {
            format!("EVERYONE who can reach {address} may {}", words_of(everyone))
        }
        _ => {
            let tokens = "a token that was made with the hub's key says what its bearer may do";
            match everyone {
                [] => tokens.into(),
                rights => format!("{tokens}; EVERYONE who can reach {address} may {}", words_of(rights)),
            }
        }
    };
    let takes_tokens = matches!(access, Access::Control(_));
    let credential = |right| match takes_tokens && !everyone.contains(&right) {
        true => " -H \"Authorization: Bearer $TOKEN\"",
        false => "",
    };
    let (to_read, to_publish) = (credential(Anonymous::Subscribe), credential(Anonymous::Publish));
    let hosts = match hosts {
        [] => String::new(),
        hosts => format!(
            "\x20 Hosts    {}, and loopback names; requests to any other name are refused\n",
            hosts.join(", ")
        ),
    };
    let gateway =
        upstream.map(|upstream| format!("\x20 Gateway  {url}/v1, to {upstream}\n")).unwrap_or_default();
    format!(
        "Tidings listens on {url}\n\
         \x20 Access   {who}\n\
         {hosts}\
         \x20 History  {history}\n\
         {encryption}\
         {gateway}\
         \n\
         Open       {url}/\n\
         Subscribe  curl{trust}{to_read} -N {url}/topics/news\n\
         Publish    curl{trust}{to_publish} -d 'Hello, world' {url}/topics/news\n"
    )
}

/// The rights of everyone, in words.
fn words_of(rights: &[Anonymous]) -> String {
    let words: Vec<_> = rights.iter().map(|right| right.name()).collect();
    words.join(" and ")
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidings_hub::{Control, Policy, TokenKey, Tokens};

    use super::*;

    #[test]
    fn the_greeting_names_the_hosts_that_lead_here_if_there_is_a_list() {
        let greet = |hosts: &[&str]| {
            let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            greeting(([127, 0, 0, 1], 4400).into(), &Access::Loopback, &[], &hosts, "in memory", None, None)
        };
        assert!(!greet(&[]).contains("Hosts"));
        assert!(
            greet(&["hub.example", "10.0.0.7"]).contains("  Hosts    hub.example, 10.0.0.7, and loopback")
        );
    }

    #[test]
    fn the_greeting_says_who_needs_a_token_and_prints_commands_that_work() {
        let key = TokenKey::parse(&[b'x'; 32]).unwrap();
        let access = Access::Control(Arc::new(Control::new(Policy::new(Tokens::new(key)))));
        let greet = |everyone: &[Anonymous]| {
            greeting(([127, 0, 0, 1], 4400).into(), &access, everyone, &[], "in memory", None, None)
        };
        let all = greet(&[]);
        assert_eq!((all.matches("Bearer $TOKEN").count(), all.contains("EVERYONE")), (2, false), "{all}");
        let readers = greet(&[Anonymous::Subscribe]);
        assert!(readers.contains("EVERYONE who can reach 127.0.0.1:4400 may subscribe"), "{readers}");
        assert!(readers.contains("curl -N http") && readers.contains("curl -H \"Authorization"), "{readers}");
    }
}
