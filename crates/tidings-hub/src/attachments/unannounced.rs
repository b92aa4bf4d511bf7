//! Files that no record announces yet.

use std::sync::Arc;

use super::Attachments;
use crate::{AttachmentId, Update};

/// The files of updates that are on their way into the log; those that are not announced when this is dropped are
/// removed.
///
/// It goes where the batch goes, so a publisher that stops waiting, a refusal, a repetition, and a log that fails all end
/// the same way.
#[derive(Debug)]
pub(crate) struct Unannounced {
    store: Arc<dyn Attachments>,
    ids: Vec<AttachmentId>,
}

impl Unannounced {
    /// Takes over the files that `updates` want to announce.
    pub(crate) fn of<'a>(
        store: &Arc<dyn Attachments>,
        updates: impl Iterator<Item = &'a Update>,
    ) -> Unannounced {
        let ids = updates.filter_map(|update| update.attachment().cloned()).collect();
        Unannounced { store: store.clone(), ids }
    }

    /// The file of an attachment that no update announces yet.
    pub(super) fn file(store: Arc<dyn Attachments>, id: AttachmentId) -> Unannounced {
        Unannounced { store, ids: vec![id] }
    }

    /// Leaves the files to somebody else.
    pub(crate) fn leave(&mut self) {
        self.ids.clear();
    }

    /// Lets the files stay that records announce now.
    pub(crate) fn keep<'a>(&mut self, announced: impl Iterator<Item = &'a AttachmentId> + Clone) {
        self.ids.retain(|id| !announced.clone().any(|announced| announced == id));
    }
}

impl Drop for Unannounced {
    fn drop(&mut self) {
        for id in &self.ids {
            self.store.remove(id);
        }
    }
}
