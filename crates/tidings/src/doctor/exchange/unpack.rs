//! Removes the content coding, piece by piece.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// How many bytes are decompressed at a time. They become at most about a thousand times as many.
const BITE_BYTES: usize = 512;

/// The maximum result of one piece, as a protection against a bomb.
const MAX_PLAIN_BYTES: usize = 8 << 20;

pub(in crate::doctor) enum Unpack {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// A coding that this program cannot undo. Then only sizes and times are known.
    Unknown,
}

impl Unpack {
    /// For the value of `Content-Encoding`. A value that is not a coding, such as `none` or `utf-8`, is ignored, as in
    /// browsers.
    pub(in crate::doctor) fn of(value: Option<&str>) -> Unpack {
        match value.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Unpack::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            "br" | "zstd" | "deflate" | "compress" | "x-compress" | "dcb" | "dcz" => Unpack::Unknown,
            // Several codings at once are not undone.
            several if several.contains(',') => Unpack::Unknown,
            _ => Unpack::Plain,
        }
    }

    pub(in crate::doctor) fn is_plain(&self) -> bool {
        matches!(self, Unpack::Plain)
    }

    pub(super) fn is_known(&self) -> bool {
        !matches!(self, Unpack::Unknown)
    }

    /// Decompresses `bytes`, as far as the compressor has flushed them.
    pub(super) fn plain(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Unpack::Plain => Ok(bytes.to_vec()),
            Unpack::Unknown => Ok(Vec::new()),
            Unpack::Gzip(decoder) => {
                let mut plain = Vec::new();
                for bite in bytes.chunks(BITE_BYTES) {
                    decoder.write_all(bite)?;
                    decoder.flush()?;
                    plain.append(decoder.get_mut());
                    if plain.len() > MAX_PLAIN_BYTES {
                        return Err(io::Error::other("a few bytes unpack to more than 8 MiB"));
                    }
                }
                Ok(plain)
            }
        }
    }
}
