//! The right to use a board.

use quantrack_proto::v1;
use tokio::task::JoinHandle;
use tonic::Code;

use super::client::Device;
use super::error::DeviceError;

/// A held board. Dropping it frees the board, and so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Lease {
    wire: v1::Lease,
    /// Reads the signs of life; the lease lasts while its stream is open.
    keeper: JoinHandle<()>,
}

impl Lease {
    /// Proof of holding the board, for requests.
    pub(super) fn wire(&self) -> v1::Lease {
        self.wire.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Device {
    /// Takes the board.
    ///
    /// # Errors
    /// [`DeviceError::Busy`], naming the holder, when somebody else has it.
    pub async fn lease(&self) -> Result<Lease, DeviceError> {
        let doing = "taking the board";
        let request = v1::AcquireLeaseRequest { holder: holder() };
        let answer = self.client.clone().acquire_lease(request).await.map_err(|status| {
            if status.code() == Code::ResourceExhausted {
                let detail = status.message().to_owned();
                return DeviceError::Busy { address: self.address().to_owned(), detail };
            }
            self.fault(doing)(status)
        })?;
        let mut signs = answer.into_inner();
        let first = signs.message().await.map_err(self.fault(doing))?;
        let Some(wire) = first.and_then(|first| first.lease) else {
            return Err(self.protocol(doing, "it gives no lease".to_owned()));
        };
        let address = self.address().to_owned();
        let keeper = tokio::spawn(async move {
            while let Ok(Some(_)) = signs.message().await {}
            tracing::warn!("the lease of the board at {address} has ended");
        });
        Ok(Lease { wire, keeper })
    }
}

/// Who we are, for others who want the board.
fn holder() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| "somebody".to_owned());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    format!("{user}@{} (process {})", host.as_deref().unwrap_or("unknown"), std::process::id())
}
