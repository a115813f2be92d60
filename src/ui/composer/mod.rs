//! The user's editor: a text of many rows with undo, history, folded pastes and completion.
//!
//! Pure: keys in, text out. It knows no terminal, clock, file or agent.

mod buffer;
mod complete;
mod history;
mod images;

pub use buffer::{Buffer, Draft, TEXT_LIMIT_BYTES, image_label};
pub use complete::{Completion, Context, Popup};
pub use history::{ENTRY_LIMIT_BYTES, HISTORY_LIMIT, History};
pub use images::{image_paths, quoted_path};
