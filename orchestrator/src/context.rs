//! What commands work with: the common options, and what they stand for.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::Options;
use crate::device::{Address, Connector, Device};
use crate::exit::Failure;
use crate::output::{self, ProgressBars};
use crate::rack;
use crate::spec::{self, Pipeline};
use crate::store::Store;

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    /// The common options.
    pub options: Options,
    /// Bars on standard error.
    pub progress: ProgressBars,
}

impl Context {
    /// The store that the options choose.
    ///
    /// # Errors
    /// When it cannot be opened, or nothing says where it is.
    pub async fn store(&self) -> Result<Store, Failure> {
        let path = self.options.store.clone().or_else(Store::default_path).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("neither XDG_DATA_HOME nor HOME says where data goes"))
                .next("choose a place with --store")
        })?;
        Ok(Store::open(&path).await?)
    }

    /// The pipeline that the options choose, measured as they say.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn pipeline(&self) -> Result<Pipeline, Failure> {
        let mut pipeline = spec::load(&self.options.pipeline)?;
        self.options.overrule(&mut pipeline.measure);
        Ok(pipeline)
    }

    /// The folder that the paths of the pipeline are relative to.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn data(&self) -> Result<PathBuf, Failure> {
        let beside = || {
            let file = Path::new(&self.options.pipeline);
            let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            parent.filter(|_| file.is_file()).unwrap_or(Path::new(".")).to_owned()
        };
        let data = self.options.data.clone().unwrap_or_else(beside);
        if data.is_dir() {
            return Ok(data);
        }
        let error = anyhow::anyhow!("the data folder {} does not exist", data.display());
        Err(Failure::usage(error)
            .next("name the folder that holds models/ and images/ with --data"))
    }

    /// The board that the options choose.
    ///
    /// # Errors
    /// When they name several.
    pub fn address(&self) -> Result<Address, Failure> {
        if self.options.pool.is_some() {
            let error = anyhow::anyhow!("this command takes one --device, and no --pool");
            return Err(Failure::usage(error));
        }
        match self.options.device.as_slice() {
            [] => Ok(Address::Local),
            [one] => Ok(one.clone()),
            _ => Err(Failure::usage(anyhow::anyhow!("this command takes one --device"))),
        }
    }

    /// The boards that the options choose.
    pub fn addresses(&self) -> Vec<Address> {
        match self.options.device.as_slice() {
            [] => vec![Address::Local],
            several => several.to_vec(),
        }
    }

    /// The boards that the options choose, those of the pool among them.
    ///
    /// # Errors
    /// When no board is in the pool, or the store fails.
    pub async fn boards(&self, store: &Store) -> Result<Vec<Address>, Failure> {
        match &self.options.pool {
            Some(label) => rack::members(store, label).await,
            None => Ok(self.addresses()),
        }
    }

    /// Connects to the board that the options choose; of a pool, to one that is free.
    ///
    /// # Errors
    /// See [`crate::device::DeviceError`].
    pub async fn connect(&self) -> Result<Device, Failure> {
        let Some(label) = &self.options.pool else {
            return self.connect_to(&self.address()?).await;
        };
        let (store, wait) = (self.store().await?, self.options.wait);
        let device = rack::pick(&store, label, !wait.is_zero(), &self.connector()).await?;
        Ok(device.patient(wait))
    }

    /// What connects to boards as the options say.
    pub fn connector(&self) -> Connector {
        Connector {
            agent_program: self.options.agent_bin.clone(),
            identity: self.options.identity.clone(),
        }
    }

    /// Connects to a board.
    ///
    /// # Errors
    /// See [`crate::device::DeviceError`].
    pub async fn connect_to(&self, address: &Address) -> Result<Device, Failure> {
        Ok(self.connector().connect(address).await?.patient(self.options.wait))
    }

    /// Prints the result of `command`; see [`output::print`].
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print<T: Serialize>(
        &self,
        command: &str,
        content: &T,
        human: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        output::print(self.options.format, command, content, human)
            .map_err(|error| Failure::lab(error).context("failed to write the result"))
    }
}
