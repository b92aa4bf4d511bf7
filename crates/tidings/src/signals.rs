//! Signals of the operating system, for commands that run until they are stopped.

use std::future::Future;

use anyhow::Context;

/// From now on, Ctrl-C and on Unix SIGTERM no longer end the process. The returned future waits for one of them.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = anyhow::Result<()>>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }
    #[cfg(not(unix))]
    Ok(async { tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C") })
}

/// SIGHUP, which service managers and log rotation send. It ends a process that does not handle it.
pub(crate) struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    pub(crate) fn listen() -> anyhow::Result<Hangup> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Hangup { signal: signal(SignalKind::hangup()).context("cannot wait for SIGHUP")? })
        }
        #[cfg(not(unix))]
        Ok(Hangup {})
    }

    /// Waits for the next signal. Cancel safe.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
