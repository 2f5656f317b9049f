//! Following tables: a view, and then every change after it, in order.
//!
//! ```text
//! apply ── publishes a view, appends to the store's history ──┐
//!   │ applied index (watch)                                   │ read behind a place, a few entries at a time
//!   └──────────── wakes ─────────▶ Feed ◀─────────────────────┘
//!                                   │ selected changes
//!                     Subscription<R>, Subscription<AnyRecord>, the administrative watch
//! ```
//!
//! Nobody sends anything to a subscriber: it reads the history from its own place on. So a subscriber that never reads
//! costs nothing, and a slow one costs what it has read and not used; the history's size is the only limit, and who
//! falls behind it is told.

mod change;
mod error;
mod feed;
mod selector;
mod store_events;
mod subscription;
mod table_events;

pub use change::{AnyRecord, Change, ChangeKind, MemberEvent};
pub use error::SubscribeError;
pub(crate) use feed::{Feed, Given};
pub(crate) use selector::Selector;
pub use subscription::Subscription;
pub(crate) use table_events::check_followed;
