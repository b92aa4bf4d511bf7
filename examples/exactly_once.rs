//! Follows a topic into a file, each event exactly once, however often it is killed.
//!
//! With a hub running (`cargo run -- serve`):
//!
//! ```sh
//! cargo run --example exactly_once -- 'http://127.0.0.1:4400/topics/news?from=start' news.jsonl
//! ```
//!
//! Kill it with `kill -9`, publish some more, and start it again: nothing is missing, nothing is there twice. The file is
//! the output and the place in one: each event is a line with its ID, so both are written or neither is, and the ID of the
//! last line is where to resume. Half a line, should a crash leave one, is cut off and its event asked for again.
//!
//! Any server will do that gives its events IDs and resumes after them.
//!
//! It works because event and ID have one store; a transaction of a database does the same. Who acts elsewhere, say by
//! sending a mail, can only save the ID after it, and a crash in between sends the last mail twice ("at least once"); or
//! before it, and a crash in between sends it never ("at most once").

use std::{
    error::Error,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
};

use tidings_client::{EventId, EventSource, Item};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, url, path] = &args[..] else { return Err("usage: exactly_once URL FILE".into()) };
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;

    let mut source = EventSource::get(url)?;
    if let Some(id) = last_id(&mut file)? {
        eprintln!("resuming after {id}");
        source = source.with_last_event_id(EventId::parse(id)?);
    }
    while let Some(item) = source.next().await {
        match item? {
            Item::Event(event) => {
                let line = serde_json::to_string(&[event.last_event_id(), event.event_type(), event.data()])?;
                file.write_all(format!("{line}\n").as_bytes())?;
                // Without this a line survives kill -9, but not a power cut.
                file.sync_data()?;
            }
            Item::Gap(gap) => eprintln!("events are missing: {}", gap.reason()),
            Item::Retrying { cause, after } => eprintln!("{cause}; again in {after:?}"),
            _ => {}
        }
    }
    Ok(())
}

/// The ID in the last whole line. The file is ready to be written after it.
fn last_id(file: &mut File) -> Result<Option<String>, Box<dyn Error>> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::Start(whole as u64))?;
    let Some(line) = text[..whole].split(|&byte| byte == b'\n').rev().nth(1) else { return Ok(None) };
    let [id, _, _]: [String; 3] = serde_json::from_slice(line)?;
    Ok(Some(id))
}
