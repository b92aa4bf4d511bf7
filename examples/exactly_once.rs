//! Follows a topic into a file, each event exactly once, even if it is killed again and again.
//!
//! With a hub running (`cargo run -- serve`):
//!
//! ```sh
//! cargo run --example exactly_once -- 'http://127.0.0.1:4400/topics/news?from=start' news.jsonl
//! ```
//!
//! Kill it with `kill -9`, publish some more, and start it again: nothing is missing, and nothing is there twice. The
//! file is both the output and the position: each event is a line with its ID, so both are written or neither is. The
//! program resumes after the ID of the last line. If a crash leaves half a line, the program cuts it off and gets its
//! event again.
//!
//! This works with any server that gives its events IDs and resumes after them.
//!
//! It works because one store holds the event and the ID; a transaction of a database does the same. If the effect is
//! elsewhere, such as sending a mail, the two are separate. Save the ID after the mail, and a crash in between sends
//! the mail twice ("at least once"). Save the ID first, and a crash in between loses the mail ("at most once").

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
                // Without this, a line survives kill -9 but not a power cut.
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
