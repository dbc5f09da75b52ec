//! WebSocket frames (RFC 6455 section 5.2) out of a stream of bytes that begins with an HTTP head.

/// Reads frames, masked or not, as their bytes come.
#[derive(Debug, Default)]
pub struct Frames {
    past_head: bool,
    waiting: Vec<u8>,
}

impl Frames {
    /// The payloads of the frames that are whole now. The head before the first frame is left out.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        self.waiting.extend_from_slice(bytes);
        if !self.past_head {
            let Some(end) = self.waiting.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Vec::new();
            };
            self.waiting.drain(..end + 4);
            self.past_head = true;
        }
        std::iter::from_fn(|| self.next()).collect()
    }

    fn next(&mut self) -> Option<String> {
        let (start, length, mask) = head(&self.waiting)?;
        let mut payload = self.waiting.get(start..start + length)?.to_vec();
        if let Some(mask) = mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        self.waiting.drain(..start + length);
        Some(String::from_utf8_lossy(&payload).into_owned())
    }
}

/// Where the payload begins, its length, and its mask; nothing while the head is not all there.
fn head(bytes: &[u8]) -> Option<(usize, usize, Option<[u8; 4]>)> {
    let second = *bytes.get(1)?;
    let (length, at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let length = usize::try_from(length).ok()?;
    match second & 0x80 {
        0 => Some((at, length, None)),
        _ => Some((at + 4, length, Some(bytes.get(at..at + 4)?.try_into().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let mut bytes = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        bytes.extend([0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x89, 0]);
        bytes.extend([0x81, 126, 0, 200]);
        bytes.extend([b'x'; 200]);
        for cut in 1..bytes.len() {
            let mut frames = Frames::default();
            let found: Vec<_> = bytes.chunks(cut).flat_map(|part| frames.read(part)).collect();
            assert_eq!(found, ["hi".to_owned(), String::new(), "x".repeat(200)], "cut into {cut}");
        }
    }
}
