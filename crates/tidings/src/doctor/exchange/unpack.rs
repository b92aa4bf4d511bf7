//! Takes the content coding off, piece by piece.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// How much is decompressed at a time: it becomes about a thousand times as much at the most.
const BITE_BYTES: usize = 512;

/// The most that is made of one piece, against a bomb.
const MAX_PLAIN_BYTES: usize = 8 << 20;

pub(in crate::doctor) enum Unpack {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// A coding that this program can't undo: then only sizes and times are known.
    Unknown,
}

impl Unpack {
    /// For the value of `Content-Encoding`. What names no coding, such as `none` or `utf-8`, is none, as it is for browsers.
    pub(in crate::doctor) fn of(value: Option<&str>) -> Unpack {
        match value.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Unpack::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            "br" | "zstd" | "deflate" | "compress" | "x-compress" | "dcb" | "dcz" => Unpack::Unknown,
            // Of several codings this program undoes none.
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

    /// All that `bytes` say, as far as the compressor has let go of it.
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
