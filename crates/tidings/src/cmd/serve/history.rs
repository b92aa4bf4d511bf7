//! The history of a hub: opened where the settings say.

use std::sync::Arc;

use tidings_hub::log::{self, Log, NewEpoch, OpenError, Opened};

use crate::{cmd::log::explain, config::Settings, exit::UsageError};

/// The log that the settings name, and where it is, for people.
pub(super) fn open(settings: &Settings) -> anyhow::Result<(Arc<dyn Log>, String)> {
    let url = &settings.log_url;
    let Opened { log, description, new_epoch, .. } =
        log::open(url, settings.log.clone()).map_err(|error| match (error, url.directory()) {
            (error @ OpenError::Unsuited { .. }, _) => {
                UsageError(format!("{error}; leave the flag out, or choose another log")).into()
            }
            (error, Some(directory)) => explain(error, directory),
            (error, None) => anyhow::Error::new(error).context("the history cannot be opened"),
        })?;
    if let Some(begun) = &new_epoch {
        say(begun);
    }
    Ok((log, description))
}

/// Says what the new epoch means; never in silence.
fn say(begun: &NewEpoch) {
    match begun {
        NewEpoch::Renewed { .. } => tracing::warn!(
            "A NEW EPOCH BEGINS, with the updates that were kept. A subscriber that comes back with an ID from before is told of a gap. \
             Start without --new-epoch from now on."
        ),
        NewEpoch::MovedAside { damaged, reason } => tracing::warn!(
            "A NEW EPOCH BEGINS, WITHOUT THE OLD UPDATES: the log was damaged ({reason}) and is now at {}. A subscriber \
             that comes back with an ID from before is told of a gap. `tidings log export {}` prints the updates that can be read. Start \
             without --new-epoch from now on.",
            damaged.display(),
            damaged.display(),
        ),
        _ => {}
    }
}
