//! The helper's side: whoever is connected and has asked gets performance, until the last of them has gone.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::journal::{GovernorError, PERFORMANCE, Switch};

/// Most connections at once.
const MAX_HOLDERS: usize = 8;
/// How long a client may take to say what it wants, and how many bytes.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_BYTES: u64 = 64;

#[derive(Debug)]
struct Holders {
    switch: Switch,
    count: Mutex<usize>,
}

/// Restores what an earlier helper has left behind, serves until `shutdown` is ready, and restores again.
///
/// # Errors
/// When the governor cannot be restored, or the socket fails.
pub async fn serve(
    listener: UnixListener,
    switch: Switch,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let left = switch.restore().map_err(io::Error::other)?;
    if left > 0 {
        tracing::warn!("restored {left} governors that an earlier helper had raised");
    }
    let holders = Arc::new(Holders { switch, count: Mutex::new(0) });
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(hold(stream, Arc::clone(&holders)));
            }
            () = &mut shutdown => break,
        }
    }
    holders.switch.restore().map_err(io::Error::other)?;
    Ok(())
}

/// Serves one client until it has gone.
async fn hold(stream: UnixStream, holders: Arc<Holders>) {
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading).take(ASK_BYTES);
    let mut asked = String::new();
    let line = tokio::time::timeout(ASK_TIMEOUT, reading.read_line(&mut asked)).await;
    if !matches!(line, Ok(Ok(_))) || asked.trim_end() != PERFORMANCE {
        let _ = writing.write_all(b"only `performance` is understood here\n").await;
        return;
    }
    let _held = match Held::new(holders) {
        Ok(held) => held,
        Err(why) => {
            let _ = writing.write_all(format!("{why}\n").as_bytes()).await;
            return;
        }
    };
    if writing.write_all(b"ok\n").await.is_ok() {
        // Whatever comes, the end of the stream is what counts.
        reading.set_limit(ASK_BYTES);
        let mut rest = [0; ASK_BYTES as usize];
        while reading.read(&mut rest).await.is_ok_and(|count| count > 0) {
            reading.set_limit(ASK_BYTES);
        }
    }
}

/// One client's share in the raised governor.
struct Held(Arc<Holders>);

impl Held {
    fn new(holders: Arc<Holders>) -> Result<Self, String> {
        {
            let mut count = holders.count.lock().unwrap_or_else(PoisonError::into_inner);
            if *count >= MAX_HOLDERS {
                return Err(format!("{MAX_HOLDERS} others are connected already"));
            }
            if *count == 0 {
                holders.switch.raise().map_err(|error: GovernorError| error.to_string())?;
            }
            *count += 1;
        }
        Ok(Self(holders))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut count = self.0.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0
            && let Err(error) = self.0.switch.restore()
        {
            tracing::error!("the governor stays: {error}");
        }
    }
}
