//! The settings of a hub.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::Context;
use tidings_hub::{
    Access, Audit, Control, Policy,
    gateway::{GatewaySettings, Secret},
    log::{Durability, LogSettings, LogUrl, Rule},
};

use super::policy::{of_everyone, policy};
use crate::{
    cli::{self, Serve},
    exit::{Hint, UsageError},
};

/// Everything that an operator can choose for a hub.
///
/// [`Settings::default`] owns every default: those of the library where it has the setting too, and the others here. The flags
/// of `tidings serve` show them.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the hub listens.
    pub(crate) listen: SocketAddr,
    /// Where the history is kept.
    pub(crate) log_url: LogUrl,
    /// How much of it is kept, and how. For `None`, the kind of the log has a default.
    pub(crate) log: LogSettings,
    /// How long an update that was answered may wait to be on the disk, if it does not have to be there first.
    pub(crate) sync_every: Duration,
    /// The hub itself.
    pub(crate) hub: tidings_hub::Settings,
    /// The gateway, but for its upstream and its secrets.
    pub(crate) gateway: GatewaySettings,
}

/// The defaults.
pub(crate) fn defaults() -> &'static Settings {
    static DEFAULTS: LazyLock<Settings> = LazyLock::new(Settings::default);
    &DEFAULTS
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: ([127, 0, 0, 1], 4400).into(),
            log_url: LogUrl::file(Path::new("tidings-data")),
            log: LogSettings::default(),
            sync_every: Duration::from_millis(100),
            hub: tidings_hub::Settings::default(),
            gateway: GatewaySettings::new("http://upstream.invalid", Secret::new("")).expect("a URL"),
        }
    }
}

impl Settings {
    /// The settings that the flags say, however they came about.
    ///
    /// # Errors
    /// When flags contradict each other, or leave open what everyone may do.
    pub(crate) fn of(serve: &Serve) -> anyhow::Result<Settings> {
        let mut settings = Settings { listen: serve.listen, ..Settings::default() };
        if let Some(url) = log_url(serve)? {
            settings.log_url = url;
        }
        settings.log.durability = durability(serve, settings.sync_every)?;
        settings.log.rules = rules(serve)?;
        settings.log.max_bytes = serve.max_history.map(|bytes| bytes.0);
        settings.log.max_records = serve.max_updates;
        settings.log.new_epoch = serve.new_epoch;
        settings.log.attachments.each = serve.max_attachment.0;
        settings.log.attachments.all = serve.attachment_quota.0;
        settings.log.readers = serve.readers.into();
        settings.log.waiting_reads = usize::try_from(serve.max_waiting_reads).unwrap_or(usize::MAX);

        let hub = &mut settings.hub;
        hub.access = access(serve, settings.log_url.directory())?;
        hub.allowed_hosts.clone_from(&serve.allow_host);
        hub.allowed_origins.clone_from(&serve.allow_origin);
        hub.max_data_bytes = usize::try_from(serve.max_data.0).context("--max-data is too large")?;
        hub.heartbeat = serve.heartbeat.0;
        hub.retry = serve.retry.0;
        hub.max_retry = serve.max_retry.0;
        hub.write_timeout = serve.write_timeout.0;
        hub.update_timeout = serve.update_timeout.0;
        hub.upload_timeout = serve.upload_timeout.0;
        hub.answer_bytes = serve.answer_memory.0;
        hub.body_bytes = serve.body_memory.0;

        let (gateway, flags) = (&mut settings.gateway, &serve.gateway);
        gateway.token_lifetime = flags.stream_token_lifetime.0;
        gateway.abandon = flags.abandon;
        gateway.heartbeat = flags.stream_heartbeat;
        gateway.timeouts.connect = flags.connect_timeout.0;
        gateway.timeouts.first_event = flags.first_event_timeout.0;
        gateway.timeouts.between_events = flags.between_events_timeout.0;
        gateway.timeouts.total = flags.total_timeout.0;
        gateway.first_byte_deadline = flags.first_byte_deadline.0;
        gateway.retries = flags.upstream_retries;
        gateway.max_request_bytes =
            usize::try_from(flags.max_request.0).context("--max-request is too large")?;
        gateway.max_streams = flags.max_streams;
        Ok(settings)
    }
}

/// The log that `--log`, `--data` or `--memory` names.
fn log_url(serve: &Serve) -> Result<Option<LogUrl>, UsageError> {
    match (&serve.log, &serve.data, serve.memory) {
        (Some(_), Some(data), _) => Err(UsageError(format!(
            "--log and --data {} both say where the history is kept; give one of them (--data DIR is --log file:DIR)",
            data.display()
        ))),
        (Some(_), None, true) => Err(UsageError(
            "--log and --memory both say where the history is kept; give one of them (--memory is --log memory:)"
                .to_owned(),
        )),
        (url @ Some(_), None, false) => Ok(url.clone()),
        (None, _, true) => Ok(Some(LogUrl::memory())),
        (None, data, false) => Ok(data.as_deref().map(LogUrl::file)),
    }
}

fn durability(serve: &Serve, sync_every: Duration) -> Result<Option<Durability>, UsageError> {
    match (serve.durability, serve.sync_every) {
        (Some(cli::Durability::Fsync), Some(_)) => Err(UsageError(
            "--sync-every needs --durability write; with fsync no update waits to be on the disk".to_owned(),
        )),
        (Some(cli::Durability::Write), every) => {
            Ok(Some(Durability::Write { sync_every: every.map_or(sync_every, |time| time.0) }))
        }
        (Some(cli::Durability::Fsync), None) => Ok(Some(Durability::Fsync)),
        (None, _) => Ok(None),
    }
}

fn rules(serve: &Serve) -> Result<Vec<Rule>, UsageError> {
    for (index, rule) in serve.retain.iter().enumerate() {
        if serve.retain[..index].iter().any(|earlier| earlier.filter == rule.filter) {
            let filter = &rule.filter;
            return Err(UsageError(format!(
                "two rules limit '{filter}'; write one rule, such as --retain '{filter}=7d,1000'"
            )));
        }
    }
    Ok(serve.retain.clone())
}

/// The rule with credentials. Revocations are kept beside the history.
fn control(serve: &Serve, policy: Policy, directory: Option<&Path>) -> anyhow::Result<Control> {
    let mut control = Control::new(policy).with_trusted_proxies(serve.trusted_proxy.clone());
    if let Some(directory) = directory {
        control = control.with_revocations_in(directory)?;
    }
    if let Some(name) = &serve.cookie {
        control = control.with_cookie(name).map_err(|error| UsageError(format!("--cookie: {error}")))?;
    }
    if let Some(path) = &serve.audit {
        let audit = Audit::open(path, serve.audit_publishes)
            .with_context(|| format!("the audit log {} cannot be opened (--audit)", path.display()))?;
        control = control.with_audit(audit);
    }
    Ok(control)
}

fn access(serve: &Serve, directory: Option<&Path>) -> anyhow::Result<Access> {
    if let Some(policy) = policy(serve)? {
        return Ok(Access::Control(Arc::new(control(serve, policy, directory)?)));
    }
    let of_credentials = [
        ("cookie", serve.cookie.is_some()),
        ("audit", serve.audit.is_some()),
        ("trusted-proxy", !serve.trusted_proxy.is_empty()),
    ];
    if let Some((flag, _)) = of_credentials.iter().find(|(_, is_given)| *is_given) {
        let problem = format!("--{flag} is for a hub that takes credentials, and this one takes none");
        return Err(anyhow::Error::new(UsageError(problem))
            .context(Hint("add --key-file FILE or --access FILE, or leave the flag out".into())));
    }
    if !serve.anonymous.is_empty() {
        return Ok(Access::Anonymous(of_everyone(serve)));
    }
    if !serve.listen.ip().is_loopback() {
        let hint = "add --key-file FILE to let holders of tokens in (tidings token key > FILE), --access FILE for rules by topic, --anonymous subscribe to let \
                    everyone read, or --anonymous publish,subscribe to let everyone do everything";
        let problem =
            format!("{} can be reached from other machines, and no access rule is given", serve.listen);
        return Err(anyhow::Error::new(UsageError(problem)).context(Hint(hint.into())));
    }
    Ok(Access::Loopback)
}
