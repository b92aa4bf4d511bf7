//! What the operating system tells a command that runs until it is stopped.

use std::future::Future;

use anyhow::Context;

/// From now on, Ctrl-C and on Unix SIGTERM end the process no more; what is returned waits for one of them.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM can't be awaited")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("Ctrl-C can't be awaited")?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(async { tokio::signal::ctrl_c().await.context("Ctrl-C can't be awaited") })
}

/// SIGHUP, which service managers and log rotation send, and which ends a process that does not listen for it.
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    pub(crate) fn listen() -> anyhow::Result<Hangup> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Hangup { signal: signal(SignalKind::hangup()).context("SIGHUP can't be awaited")? })
        }
        #[cfg(not(unix))]
        Ok(Hangup {})
    }

    /// Waits for the next one. Cancel safe.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
