//! The settings of one ccc process on which no decision of a run depends: how it shows the run, how it reads the agent's output,
//! and what follows a completed run. They are not part of the plan, and each `ccc resume` sets them anew.

use crate::config::{Layer, OutputFormat, Settings, Transport};

/// The settings of this ccc process alone. A new setting of this kind is a field here, and is read in `start.rs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presentation {
    /// The form of the output.
    pub(super) form: OutputFormat,
    /// How the agent's stdout reaches us.
    pub(super) transport: Transport,
    /// Continue in the agent's own interface after a completed run, if there is a terminal. Off by default, so that a
    /// script continues with its next command.
    pub(super) hand_over: bool,
}

impl Presentation {
    /// The presentation of the settings, overridden by what was given.
    pub(super) fn of(settings: &Settings, given: &Layer) -> Presentation {
        Presentation {
            form: given.output_format.unwrap_or(settings.output_format),
            transport: given.transport.unwrap_or(settings.transport),
            hand_over: given.hand_over.or(settings.hand_over).unwrap_or(false),
        }
    }

    /// The presentation of a run whose agent has its own interface on the terminal: stdout has no other output, and nothing
    /// follows the run.
    pub(super) fn of_interface(self, is_interface: bool) -> Presentation {
        if is_interface { Presentation { form: OutputFormat::Text, hand_over: false, ..self } } else { self }
    }

    /// Removes these settings from those given for the plan.
    pub(super) fn leave_out(given: &mut Layer) {
        (given.output_format, given.transport, given.hand_over) = (None, None, None);
    }
}
