//! `tidings log import`: appends exported updates to a log.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write, stdin, stdout},
};

use anyhow::Context;
use serde_json::json;
use tidings_hub::{
    Topic,
    log::{Append, DiskLog, Import, Limits, Log, Retention},
};

use crate::progress::Progress;
use crate::{
    cli::LogImport,
    exit::{Hint, UsageError},
};

/// How many updates one commit appends.
const BATCH: usize = 1000;
const BATCH_BYTES: usize = 4 << 20;

pub(super) async fn run(import: LogImport) -> anyhow::Result<()> {
    let topic = import.topic.as_deref().map(Topic::parse).transpose();
    let topic = topic.map_err(|error| UsageError(error.to_string()))?;
    let (input, total): (Box<dyn BufRead>, u64) = match &import.file {
        None => (Box::new(BufReader::new(stdin())), 0),
        Some(path) => {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let total = file.metadata().map_or(0, |file| file.len());
            (Box::new(BufReader::with_capacity(64 << 10, file)), total)
        }
    };
    let limits = Limits { bytes: import.max_history.0, ..Limits::default() };
    let retention = Retention { limits, ..Retention::on_disk() };
    let log = DiskLog::open(&import.dir, retention).map_err(|error| super::explain(error, &import.dir))?;
    let updates = match topic {
        Some(topic) => Import::event_stream(input, topic),
        None => Import::ndjson(input),
    };
    let updates = updates.with_max_retry(import.max_retry.0);
    let mut importing = Importing { log, appended: 0, repeated: 0 };
    let imported = importing.all(updates, total).await;
    let (appended, repeated) = (importing.appended, importing.repeated);
    if imported.is_ok() {
        writeln!(stdout(), "{}", json!({ "appended": appended, "repeated": repeated }))?;
    }
    imported.context(Hint(format!(
        "{appended} updates before it are appended; importing again from the beginning appends nothing twice that has \
         an id or a key"
    )))
}

struct Importing {
    log: DiskLog,
    appended: u64,
    repeated: u64,
}

impl Importing {
    async fn all<R: BufRead>(&mut self, mut updates: Import<R>, total: u64) -> anyhow::Result<()> {
        let mut progress = Progress::new("imported");
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(update) = updates.next() {
            match update {
                Ok(append) => {
                    bytes += append.update.event().data().len();
                    batch.push((updates.line(), append));
                }
                Err(error) => {
                    // The complete lines before the cut are imported as if they were all.
                    self.append(batch).await?;
                    return Err(error.into());
                }
            }
            if batch.len() >= BATCH || bytes >= BATCH_BYTES {
                self.append(std::mem::take(&mut batch)).await?;
                bytes = 0;
                match total {
                    0 => progress.show(self.appended + self.repeated, 0),
                    total => progress.show(updates.bytes(), total),
                }
            }
        }
        self.append(batch).await
    }

    async fn append(&mut self, batch: Vec<(u64, Append)>) -> anyhow::Result<()> {
        let (lines, batch): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let appended = self.log.append(batch).await?;
        let repeated = appended.receipts.iter().filter(|receipt| receipt.repeated).count() as u64;
        self.repeated += repeated;
        self.appended += appended.receipts.len() as u64 - repeated;
        match appended.refused {
            None => Ok(()),
            Some(refused) => {
                let line = lines.get(appended.receipts.len()).copied().unwrap_or_default();
                Err(anyhow::Error::new(refused).context(format!("line {line}")))
            }
        }
    }
}
