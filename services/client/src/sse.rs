//! Parses `text/event-stream` (WHATWG HTML, section 9.2.6) from chunks cut anywhere. Pure.

/// An event grown beyond this is dropped as damaged; Updraft's are below 4 KiB.
const MAX_EVENT_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    after_cr: bool,
    event: SseEvent,
    has_data: bool,
}

// === impl SseParser ===

impl SseParser {
    /// The events that `chunk` completes, in order.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<SseEvent> {
        let mut done = Vec::new();
        for &byte in chunk {
            let skip = self.after_cr && byte == b'\n';
            self.after_cr = byte == b'\r';
            match byte {
                _ if skip => {}
                b'\n' | b'\r' => done.extend(self.end_line()),
                _ if self.line.len() < MAX_EVENT_BYTES => self.line.push(byte),
                _ => {}
            }
        }
        done
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let line = String::from_utf8_lossy(&line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add_data(value),
            "id" => self.event.id = Some(value.to_owned()),
            "event" => self.event.name = Some(value.to_owned()),
            // Comments (heartbeats), `retry` and whatever comes later.
            _ => {}
        }
        None
    }

    fn add_data(&mut self, value: &str) {
        if self.has_data {
            self.event.data.push('\n');
        }
        self.has_data = true;
        if self.event.data.len() + value.len() <= MAX_EVENT_BYTES {
            self.event.data.push_str(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nid: 7\nevent: event\ndata: {\"a\":\ndata: 1}\n\nid: 8\r\ndata:x\r\n\r\ndata\n\nid: 9\n\n";

    fn expected() -> Vec<SseEvent> {
        let event = |id: Option<&str>, name: Option<&str>, data: &str| SseEvent {
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            data: data.to_owned(),
        };
        vec![
            event(Some("7"), Some("event"), "{\"a\":\n1}"),
            event(Some("8"), None, "x"),
            event(None, None, ""),
        ]
    }

    #[test]
    fn events_survive_any_cut() {
        for size in 1..=STREAM.len() {
            let mut parser = SseParser::default();
            let events: Vec<_> = STREAM
                .as_bytes()
                .chunks(size)
                .flat_map(|chunk| parser.push(chunk))
                .collect();
            assert_eq!(events, expected(), "cut every {size} bytes");
        }
    }

    #[test]
    fn an_endless_line_does_not_fill_memory() {
        let mut parser = SseParser::default();
        for _ in 0..4 {
            parser.push(&vec![b'x'; MAX_EVENT_BYTES]);
        }
        assert!(parser.line.len() <= MAX_EVENT_BYTES);
    }
}
