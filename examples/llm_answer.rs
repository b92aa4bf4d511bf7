//! Asks an LLM with OpenAI's API, and prints the answer as it arrives.
//!
//! ```sh
//! OPENAI_API_KEY=sk-… cargo run --example llm_answer -- Why is the sky blue?
//! OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2 cargo run --example llm_answer -- Why is the sky blue?
//! ```
//!
//! The answer is complete when `[DONE]` has arrived. A connection that ends earlier is an error, not the end of the
//! answer. The request is never sent twice, because you would pay twice.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
};

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tidings_client::{Error as StreamError, EventStream, Item, Request};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let base = env::var("OPENAI_BASE_URL").unwrap_or("https://api.openai.com/v1".into());
    let model = env::var("OPENAI_MODEL").unwrap_or("gpt-4o-mini".into());
    let key = env::var("OPENAI_API_KEY").unwrap_or_default();
    let question = env::args().skip(1).collect::<Vec<_>>().join(" ");

    let body = json!({
        "model": model,
        "messages": [{ "role": "user", "content": question }],
        "stream": true,
    });
    let request = Request::post(&format!("{base}/chat/completions"))?
        .with_header(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {key}"))?)
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .with_body(body.to_string());
    let mut answer = EventStream::new(request).with_terminal_event(|event| event.data() == "[DONE]");

    while let Some(item) = answer.next().await {
        match item {
            Ok(Item::Event(event)) if event.data() != "[DONE]" => print(event.data())?,
            Ok(_) => {}
            // A wrong key or model. The server explains which.
            Err(StreamError::Status(refusal)) => {
                return Err(format!("{refusal}: {}", String::from_utf8_lossy(&refusal.body)).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    println!();
    Ok(())
}

fn print(data: &str) -> Result<(), Box<dyn Error>> {
    let chunk: Value = serde_json::from_str(data)?;
    // Errors after the head of the response arrive as events.
    if let Some(error) = chunk.get("error") {
        return Err(error.to_string().into());
    }
    if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
        print!("{text}");
        stdout().flush()?;
    }
    Ok(())
}
