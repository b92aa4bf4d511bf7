//! A stand-in for a model server: tokens at a pace, each with the moment at which it was sent. It keeps its connections.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep_until,
};

/// What stands before the number in a token: nanoseconds since the beginning of the benchmark.
pub(crate) const MARK: &[u8] = b"\"content\":\"";

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// An answer that every request gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) tokens: u32,
    pub(crate) pace: Duration,
}

/// Starts it, and gives back its address.
pub(crate) async fn start(answer: Answer, epoch: Instant) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that leaves is no business of the others.
            tokio::spawn(async move { serve(socket, answer, epoch).await });
        }
    });
    Ok(address)
}

async fn serve(mut socket: TcpStream, answer: Answer, epoch: Instant) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::new();
    loop {
        request.clear();
        // The body is one JSON object, and nothing else ends with two braces.
        while !request.ends_with(b"}}") {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        socket.write_all(HEAD).await?;
        let began = Instant::now() + answer.pace;
        for number in 0..answer.tokens {
            sleep_until((began + answer.pace * number).into()).await;
            let sent = epoch.elapsed().as_nanos();
            let token = format!(
                "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{sent}\"}},\"finish_reason\":null}}]}}\n\n"
            );
            socket.write_all(&chunk(&token)).await?;
        }
        socket.write_all(&[&chunk("data: [DONE]\n\n")[..], b"0\r\n\r\n"].concat()).await?;
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
