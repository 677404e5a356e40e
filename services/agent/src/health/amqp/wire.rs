//! Frames and arguments of AMQP 0-9-1. What is longer than what was agreed ends the connection.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The longest frame, in bytes.
pub(super) const MOST: u32 = 131_072;
const PROTOCOL: &[u8] = b"AMQP\0\0\x09\x01";
const END: u8 = 0xCE;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

pub(super) struct Connection {
    stream: BufReader<TcpStream>,
}

pub(super) struct Frame {
    kind: u8,
    payload: Vec<u8>,
}

/// What a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Class and number, and the arguments as they came.
    Method((u16, u16), Vec<u8>),
    /// How long the body is that follows.
    Header(u64),
    Body(Vec<u8>),
    Heartbeat,
}

/// A method's arguments, in their order.
#[derive(Default)]
pub(super) struct Arguments(Vec<u8>);

// === impl Connection ===

impl Connection {
    pub(super) async fn begin(stream: TcpStream) -> Result<Self, String> {
        let mut stream = BufReader::new(stream);
        stream
            .write_all(PROTOCOL)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self { stream })
    }

    pub(super) async fn send(
        &mut self,
        channel: u16,
        (class, number): (u16, u16),
        Arguments(arguments): Arguments,
    ) -> Result<(), String> {
        let length = u32::try_from(arguments.len() + 4).map_err(|_| "that is too long")?;
        let mut frame = vec![METHOD];
        frame.extend(channel.to_be_bytes());
        frame.extend(length.to_be_bytes());
        frame.extend(class.to_be_bytes());
        frame.extend(number.to_be_bytes());
        frame.extend(arguments);
        frame.push(END);
        self.stream
            .write_all(&frame)
            .await
            .map_err(|error| error.to_string())
    }

    pub(super) async fn next(&mut self) -> Result<Frame, String> {
        self.frame().await.map_err(|error| error.to_string())
    }

    async fn frame(&mut self) -> std::io::Result<Frame> {
        let foreign = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let kind = self.stream.read_u8().await?;
        let _channel = self.stream.read_u16().await?;
        let length = self.stream.read_u32().await?;
        if length > MOST {
            return Err(foreign());
        }
        let mut payload = vec![0; usize::try_from(length).map_err(|_| foreign())?];
        self.stream.read_exact(&mut payload).await?;
        match self.stream.read_u8().await? {
            END => Ok(Frame { kind, payload }),
            _ => Err(foreign()),
        }
    }
}

// === impl Arguments ===

impl Arguments {
    pub(super) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn short(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(super) fn long(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// A short string; what is beyond its 255 bytes is left out.
    pub(super) fn text(mut self, text: &str) -> Self {
        let bytes = &text.as_bytes()[..text.len().min(255)];
        self.0.push(u8::try_from(bytes.len()).unwrap_or(u8::MAX));
        self.0.extend(bytes);
        self
    }

    pub(super) fn long_text(self, text: &str) -> Self {
        let mut longer = self.long(u32::try_from(text.len()).unwrap_or(u32::MAX));
        longer.0.extend(text.as_bytes());
        longer
    }

    pub(super) fn empty_table(self) -> Self {
        self.long(0)
    }
}

/// None: no frame of this protocol.
pub(super) fn read(frame: Frame) -> Option<Incoming> {
    let Frame { kind, payload } = frame;
    Some(match kind {
        METHOD => {
            let (class, rest) = payload.split_first_chunk()?;
            let (number, arguments) = rest.split_first_chunk()?;
            let method = (u16::from_be_bytes(*class), u16::from_be_bytes(*number));
            Incoming::Method(method, arguments.to_owned())
        }
        // Class, weight, then the size.
        HEADER => Incoming::Header(u64::from_be_bytes(*payload.get(4..)?.first_chunk()?)),
        BODY => Incoming::Body(payload),
        HEARTBEAT => Incoming::Heartbeat,
        _ => return None,
    })
}

/// The short string that arguments begin with.
pub(super) fn first_text(arguments: &[u8]) -> Result<String, String> {
    let text = arguments
        .split_first()
        .and_then(|(length, rest)| rest.get(..usize::from(*length)));
    text.and_then(|text| String::from_utf8(text.to_owned()).ok())
        .ok_or_else(|| "it does not speak AMQP".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Frame, Incoming, first_text, read};

    #[test]
    fn what_is_cut_short_or_unknown_is_no_frame() {
        let frame = |kind, payload: &[u8]| {
            read(Frame {
                kind,
                payload: payload.to_owned(),
            })
        };
        let method = Incoming::Method((10, 11), vec![7]);
        assert_eq!(frame(1, &[0, 10, 0, 11, 7]), Some(method));
        assert_eq!(
            frame(2, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 1]),
            Some(Incoming::Header(9))
        );
        for (kind, payload) in [(1, &[0, 10, 0][..]), (2, &[0, 60, 0, 0, 0][..]), (4, &[][..])] {
            assert_eq!(frame(kind, payload), None);
        }
    }

    #[test]
    fn texts_are_preceded_by_their_length() {
        let Arguments(bytes) = Arguments::default().text("ab").long_text("c").empty_table();
        assert_eq!(bytes, b"\x02ab\0\0\0\x01c\0\0\0\0");
        assert_eq!(first_text(&bytes).unwrap(), "ab");
        assert!(first_text(b"\x05ab").is_err());
    }
}
