//! The secret that all nodes of a cluster share.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{TryRng, rngs::SysRng};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// The size of a secret in bytes.
const SECRET_BYTES: usize = 32;

/// What a secret file starts with. Persistent: never change; another format gets another prefix.
const PREFIX: &str = "tabularaft-secret-v1:";

/// More than a secret file has, and little enough to read whatever is in its place.
const FILE_BYTES_MAX: u64 = 1024;

/// The secret of a cluster: whoever has it may read and write everything.
///
/// The bytes are wiped from memory when the value is dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; SECRET_BYTES],
}

/// Why a secret could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the secret file {path}: {error}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// There is a file already, and other nodes may depend on what is in it.
    #[error("{path} exists already and is not overwritten; choose another path, or move it away")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Other users of the machine can read the file.
    #[error("the secret file {path} is open to other users (mode {mode:03o}); run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} is not a secret file: {what}; make one with `store-admin secret new`")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system has no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(String),
}

impl Secret {
    /// Makes a new secret from the operating system's random numbers.
    ///
    /// # Errors
    ///
    /// [`SecretError::Random`] when there are none.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; SECRET_BYTES];
        SysRng.try_fill_bytes(&mut bytes).map_err(|error| SecretError::Random(error.to_string()))?;
        Ok(Self { bytes })
    }

    /// Reads the secret from a file made by [`Self::save_new`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, is open to other users, or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SecretError> {
        let path = path.as_ref();
        let unreadable = |error| SecretError::Read { path: path.to_owned(), error };
        let file = File::open(path).map_err(unreadable)?;
        check_private(path, &file)?;
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
        Self::parse(&text).map_err(|what| SecretError::Format { path: path.to_owned(), what })
    }

    /// Writes the secret to a new file that only its owner may read.
    ///
    /// # Durability
    ///
    /// The file's content is on the disc when this returns.
    ///
    /// # Errors
    ///
    /// The file exists already or cannot be written.
    pub fn save_new(&self, path: impl AsRef<Path>) -> Result<(), SecretError> {
        let path = path.as_ref();
        let text = Zeroizing::new(format!("{PREFIX}{}\n", *Zeroizing::new(STANDARD.encode(self.bytes))));
        let written = private_file(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => SecretError::Exists { path: path.to_owned() },
            _ => SecretError::Write { path: path.to_owned(), error },
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let encoded = text
            .trim_end()
            .strip_prefix(PREFIX)
            .ok_or_else(|| format!("it does not start with `{PREFIX}`"))?;
        let decoded = Zeroizing::new(
            STANDARD.decode(encoded).map_err(|_| "what follows the prefix is not base64".to_owned())?,
        );
        let bytes = <[u8; SECRET_BYTES]>::try_from(decoded.as_slice())
            .map_err(|_| format!("it holds {} bytes, a secret has {SECRET_BYTES}", decoded.len()))?;
        Ok(Self { bytes })
    }

    /// The bytes, for the handshake.
    pub(crate) fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.bytes
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Checks the opened file, not the path, so that nobody can exchange the file in between.
#[cfg(unix)]
fn check_private(path: &Path, file: &File) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = file.metadata().map_err(|error| SecretError::Read { path: path.to_owned(), error })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(SecretError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn check_private(_path: &Path, _file: &File) -> Result<(), SecretError> {
    Ok(())
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
