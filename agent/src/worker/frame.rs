//! Messages on a byte stream: a length of four bytes, little-endian, then that many bytes.

use std::io::{self, Read, Write};

use prost::Message;

/// The longest message, as large as the largest set of tensors that fits into gRPC's limit with room to spare.
pub const MAX_BYTES: usize = 16 << 20;

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed or ended in the middle of a message.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// A length beyond [`MAX_BYTES`].
    #[error("a message of {0} bytes is longer than {MAX_BYTES}")]
    TooLong(usize),
    /// The bytes are no message.
    #[error("a message cannot be decoded: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// A message with its length before it.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn encode(message: &impl Message) -> Result<Vec<u8>, FrameError> {
    let length = message.encoded_len();
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_BYTES);
    let prefix = prefix.ok_or(FrameError::TooLong(length))?;
    let mut bytes = Vec::with_capacity(length + 4);
    bytes.extend(prefix.to_le_bytes());
    bytes.extend(message.encode_to_vec());
    Ok(bytes)
}

/// The length that a prefix announces.
///
/// # Errors
/// [`FrameError::TooLong`].
pub fn length(prefix: [u8; 4]) -> Result<usize, FrameError> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
    if length > MAX_BYTES { Err(FrameError::TooLong(length)) } else { Ok(length) }
}

/// Writes a message and flushes.
///
/// # Errors
/// See [`FrameError`].
pub fn write(stream: &mut impl Write, message: &impl Message) -> Result<(), FrameError> {
    stream.write_all(&encode(message)?)?;
    Ok(stream.flush()?)
}

/// Reads a message; `None` when the stream has ended before it.
///
/// # Errors
/// See [`FrameError`].
pub fn read<M: Message + Default>(stream: &mut impl Read) -> Result<Option<M>, FrameError> {
    let mut prefix = [0; 4];
    if stream.read(&mut prefix[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..])?;
    let length = length(prefix)?;
    // Grows with what arrives, not with what was announced.
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(M::decode(body.as_slice())?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::worker::message::{Command, Reply};

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read::<Command>(&mut bytes.as_slice());
            let _ = read::<Reply>(&mut bytes.as_slice());
            let _ = Reply::decode(bytes.as_slice());
        }

        #[test]
        fn what_was_written_is_read(names in proptest::collection::vec(".*", 0..5)) {
            let messages: Vec<Reply> = names.iter().map(|name| Reply::failed(name.clone())).collect();
            let mut bytes = Vec::new();
            messages.iter().for_each(|message| write(&mut bytes, message).unwrap());
            let mut stream = bytes.as_slice();
            for message in &messages {
                prop_assert_eq!(read::<Reply>(&mut stream).unwrap(), Some(message.clone()));
            }
            prop_assert!(read::<Reply>(&mut stream).unwrap().is_none());
        }

        #[test]
        fn a_cut_stream_is_an_error(cut in 1usize..10) {
            let bytes = encode(&Reply::failed("why it failed".to_owned())).unwrap();
            let error = read::<Reply>(&mut &bytes[..bytes.len() - cut]).unwrap_err();
            prop_assert!(matches!(error, FrameError::Io(_)));
        }
    }

    #[test]
    fn a_huge_length_is_refused_before_memory_is_taken() {
        let error = read::<Reply>(&mut [255u8; 8].as_slice()).unwrap_err();
        assert!(matches!(error, FrameError::TooLong(_)), "{error}");
    }
}
