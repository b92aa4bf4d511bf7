//! Counts the bytes that decoding examines or moves, so that a test can prove "linear time" by a count and not by a
//! stopwatch.
//!
//! Only this crate's own tests count. In every other build this module does nothing.

#[cfg(not(test))]
#[inline(always)]
pub(crate) fn count(_bytes: usize) {}

#[cfg(test)]
pub(crate) use counting::count;

#[cfg(test)]
mod counting {
    extern crate std;

    use core::cell::Cell;

    std::thread_local! {
        static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(bytes: usize) {
        BYTES.set(BYTES.get() + bytes);
    }

    pub(super) fn during(run: impl FnOnce()) -> usize {
        let before = BYTES.get();
        run();
        BYTES.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::counting::during;
    use crate::Decoder;
    use alloc::vec::Vec;

    /// Each byte is searched for a line end, perhaps twice; copied out of its chunk; copied again if its event has
    /// several lines; and decoded to text.
    const MAX_WORK_PER_BYTE: usize = 5;

    fn work(decoder: &Decoder, stream: &[u8], chunk_bytes: impl Fn(usize) -> usize) -> usize {
        let mut decoder = decoder.clone();
        let mut rest = stream;
        during(|| {
            let mut number = 0;
            while !rest.is_empty() {
                let (mut input, tail) = rest.split_at(chunk_bytes(number).clamp(1, rest.len()));
                while decoder.decode(&mut input).is_some() {}
                rest = tail;
                number += 1;
            }
        })
    }

    #[test]
    fn work_is_linear_in_the_bytes_however_they_are_cut() {
        const BYTES: usize = 64 * 1024;
        let shapes: [(&str, &[u8]); 12] = [
            ("data: ", b"x"),
            (": ", b"x"),
            ("", b"x"),
            ("", b"data: x\n"),
            ("", b"data: x\n\n"),
            ("", b"data\r"),
            ("", b"\r\n"),
            ("", b"id: 1\nevent: a\n"),
            ("", b"retry: 1\ndata: x\n"),
            ("data: ", b"\xF0\x9F"),
            ("", b"data: \xFF\xFF\n:\n"),
            ("\u{FEFF}", b"\xEF\xBB\xBF"),
        ];
        let generous = Decoder::new();
        let limited =
            Decoder::new().with_max_line_bytes(100).with_max_event_bytes(50).with_unknown_fields(true);
        for (start, repeated) in shapes {
            let mut stream: Vec<u8> = start.into();
            stream.extend(repeated.iter().cycle().take(BYTES));
            for decoder in [&generous, &limited] {
                for size in [1, 2, 3, 64, 1500, BYTES, 2 * BYTES] {
                    let work = work(decoder, &stream, |_| size);
                    assert!(
                        work <= MAX_WORK_PER_BYTE * stream.len(),
                        "{work} for {repeated:?} in chunks of {size}"
                    );
                }
                let uneven = work(decoder, &stream, |number| (number * 7919) % 333);
                assert!(
                    uneven <= MAX_WORK_PER_BYTE * stream.len(),
                    "{uneven} for {repeated:?} in uneven chunks"
                );
            }
        }
    }
}
