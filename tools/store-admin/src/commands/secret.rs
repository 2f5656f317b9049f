//! `secret new`

use std::path::Path;

use tabularaft::Secret;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Makes a new secret in a new file.
pub(super) fn new(file: &Path) -> Outcome {
    Secret::generate().and_then(|secret| secret.save_new(file)).map_err(|error| Failure::of(&error))?;
    output::print(&format!(
        "wrote a new cluster secret to {}; give this file to every node and to store-admin with --secret-file\n",
        file.display()
    ))
}
