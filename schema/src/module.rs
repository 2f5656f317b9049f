//! Modules: parts of an application that bring their own tables.

use crate::boot::Boot;
use crate::copy::Copy;
use crate::error::{Error, MissingModules, ModuleError, Result};

/// A part of an application that brings its own tables. Linking it is enough: [`register_module!`](crate::register_module)
/// makes every node of the program know it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{Boot, Copy, CopyMode, Module, Record, Result, register_module};
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "route", kind = "bag", copy = "ram", crate = "tabularaft_schema")]
/// struct Route {
///     #[key]
///     topic: String,
/// }
///
/// struct Router;
///
/// impl Module for Router {
///     fn name(&self) -> &'static str {
///         "router"
///     }
///
///     fn boot(&self, boot: &mut Boot) -> Result<()> {
///         boot.create_table::<Route>()
///     }
///
///     fn copy(&self, copy: &mut Copy) -> Result<()> {
///         copy.copy_table::<Route>(CopyMode::Ram)
///     }
/// }
///
/// register_module!(Router);
///
/// # fn main() -> Result<()> {
/// assert_eq!(tabularaft_schema::boot_modules()?.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// Hooks MUST be pure declarations: they may run more than once, and on every node of a cluster they MUST declare the
/// same, or nodes will refuse to join each other (see [`fingerprint`](crate::fingerprint)).
pub trait Module: Sync {
    /// The module's name, unique in the program. It is compared between nodes, so it is chosen and not derived
    /// from a type's name.
    fn name(&self) -> &'static str;

    /// Declares the tables the module needs. They are created when the node boots, if they do not exist.
    ///
    /// # Errors
    /// Whatever keeps the module from working; the node does not start then.
    fn boot(&self, boot: &mut Boot) -> Result<()>;

    /// Declares how a joining node holds the module's tables. What is not mentioned is held as its definition says.
    ///
    /// # Errors
    /// Whatever keeps the node from joining.
    fn copy(&self, copy: &mut Copy) -> Result<()> {
        let _ = copy;
        Ok(())
    }
}

/// A module as it stands in the program's list of modules; made by [`register_module!`](crate::register_module).
pub struct Registration(&'static dyn Module);

impl Registration {
    /// Wraps a module for the list.
    #[must_use]
    pub const fn new(module: &'static dyn Module) -> Self {
        Self(module)
    }
}

inventory::collect!(Registration);

/// Registers a value as a [`Module`] of every program this crate is linked into. The value must be a constant
/// expression, most often a unit struct; write the macro outside of functions.
///
/// ```
/// # use tabularaft_schema::{Boot, Module, Result, register_module};
/// struct Retainer;
/// # impl Module for Retainer {
/// #     fn name(&self) -> &'static str { "retainer" }
/// #     fn boot(&self, _: &mut Boot) -> Result<()> { Ok(()) }
/// # }
/// register_module!(Retainer);
/// # fn main() {
/// assert!(tabularaft_schema::require_modules(&["retainer"]).is_ok());
/// # }
/// ```
///
/// # Linking
///
/// The module's crate must be part of the program, and a crate that nothing refers to is not, even if `Cargo.toml`
/// names it. Any use of it will do; if there is none, write `use the_crate as _;`. To be told when it is forgotten,
/// list the modules you count on with [`require_modules`].
#[macro_export]
macro_rules! register_module {
    ($module:expr $(,)?) => {
        const _: () = {
            static MODULE: &'static dyn $crate::Module = &$module;
            $crate::__private::inventory::submit! { $crate::__private::Registration::new(MODULE) }
        };
    };
}

/// The modules linked into this program, sorted by name.
#[must_use]
pub fn registered_modules() -> Vec<&'static dyn Module> {
    let mut modules: Vec<_> =
        inventory::iter::<Registration>.into_iter().map(|registration| registration.0).collect();
    modules.sort_by_key(|module| module.name());
    modules
}

/// Checks that the named modules are linked into this program.
///
/// # Errors
/// [`MissingModules`] names those that are not, and says how to link them.
pub fn require_modules(names: &[&str]) -> Result<(), MissingModules> {
    let linked: Vec<_> = registered_modules().iter().map(|module| module.name().to_owned()).collect();
    let missing: Vec<_> = names.iter().filter(|name| !linked.iter().any(|linked| linked == *name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(MissingModules { missing: missing.into_iter().map(|name| (*name).to_owned()).collect(), linked })
}

/// Runs the boot hooks of these modules and returns the tables they need.
pub(crate) fn boot(modules: &[&'static dyn Module]) -> Result<Boot> {
    check_names(modules)?;
    let mut boot = Boot::default();
    for module in modules {
        module.boot(&mut boot).map_err(|error| hook_error(*module, "boot", error))?;
    }
    Ok(boot)
}

/// Runs the copy hooks of these modules and returns what they ask for.
pub(crate) fn copy(modules: &[&'static dyn Module]) -> Result<Copy> {
    check_names(modules)?;
    let mut copy = Copy::default();
    for module in modules {
        module.copy(&mut copy).map_err(|error| hook_error(*module, "copy", error))?;
    }
    Ok(copy)
}

/// Expects the modules sorted by name.
fn check_names(modules: &[&'static dyn Module]) -> Result<(), ModuleError> {
    let twice = modules.iter().zip(modules.iter().skip(1)).find(|(a, b)| a.name() == b.name());
    twice.map_or(Ok(()), |(module, _)| Err(ModuleError::DuplicateName { name: module.name() }))
}

fn hook_error(module: &'static dyn Module, hook: &'static str, error: Error) -> ModuleError {
    ModuleError::Hook { module: module.name(), hook, error: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use crate::mode::CopyMode;
    use crate::name::TableName;
    use crate::table_def::TableDef;

    struct Example {
        name: &'static str,
        mode: CopyMode,
    }

    impl Module for Example {
        fn name(&self) -> &'static str {
            self.name
        }

        fn boot(&self, boot: &mut Boot) -> Result<()> {
            let def =
                TableDef::builder("shared")?.field("id", FieldType::U64).key("id").copy(self.mode).build()?;
            boot.create(def)
        }

        fn copy(&self, copy: &mut Copy) -> Result<()> {
            copy.set(TableName::new("shared")?, Some(self.mode))
        }
    }

    struct Refusing;

    impl Module for Refusing {
        fn name(&self) -> &'static str {
            "refusing"
        }

        fn boot(&self, _: &mut Boot) -> Result<()> {
            Err(ModuleError::other("no licence").into())
        }
    }

    const ONE: &dyn Module = &Example { name: "one", mode: CopyMode::Ram };
    const TWO: &dyn Module = &Example { name: "two", mode: CopyMode::Ram };
    const TWO_ON_DISC: &dyn Module = &Example { name: "two", mode: CopyMode::Disc };

    crate::register_module!(Example { name: "registered", mode: CopyMode::Ram });

    #[test]
    fn a_registered_module_is_found_and_a_missing_one_is_named() {
        assert_eq!(registered_modules().len(), 1);
        assert!(require_modules(&["registered"]).is_ok());
        let error = require_modules(&["registered", "router"]).unwrap_err();
        assert_eq!(error.missing, ["router"]);
        assert!(
            error.to_string().contains("not linked into this program: router; linked are: registered."),
            "{error}"
        );
    }

    #[test]
    fn modules_may_share_a_table_if_they_agree_on_it() {
        assert_eq!(boot(&[ONE, TWO]).unwrap().tables().count(), 1);
        assert_eq!(copy(&[ONE, TWO]).unwrap().copies().count(), 1);
        assert_eq!(
            boot(&[ONE, TWO_ON_DISC]).unwrap_err().to_string(),
            "the boot hook of module `two` failed: the linked modules define table `shared` in two ways: \
             copy is disc here and ram there"
        );
        assert_eq!(
            copy(&[ONE, TWO_ON_DISC]).unwrap_err().to_string(),
            "the copy hook of module `two` failed: the linked modules ask for different copies of table `shared`: \
             disc and ram"
        );
    }

    #[test]
    fn two_modules_of_one_name_are_refused() {
        let error = boot(&[TWO, TWO_ON_DISC]).unwrap_err();
        assert_eq!(error.to_string(), "two linked modules are named `two`; rename one of them");
    }

    #[test]
    fn a_failing_hook_is_named() {
        let error = boot(&[&Refusing]).unwrap_err();
        assert_eq!(error.to_string(), "the boot hook of module `refusing` failed: no licence");
    }
}
