//! How publishes ended: counted, and told where one was not taken.

use amqp_connector::{Outcome, Returned, UnknownReason};
use serde_json::{Value as Json, json};

use crate::fail::{Failure, closed, one_line};
use crate::output::Output;
use crate::show;

pub(super) struct Tally<'a> {
    output: &'a Output,
    acked: u64,
    accepted: u64,
    nacked: u64,
    returned: u64,
    unknown: u64,
    /// Why the first that is unknown is so.
    why: Option<String>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, acked: 0, accepted: 0, nacked: 0, returned: 0, unknown: 0, why: None }
    }

    /// Counts one, and tells of it if it was not taken.
    pub(super) fn count(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        match outcome.plain() {
            Outcome::Acked => self.acked += 1,
            Outcome::Accepted => self.accepted += 1,
            Outcome::Nacked => {
                self.nacked += 1;
                self.tell("nacked", outcome, json!({}))?;
            }
            Outcome::Returned(returned) => {
                self.returned += 1;
                self.tell("returned", outcome, show::returned(returned))?;
            }
            other => {
                self.unknown += 1;
                let why = || match other {
                    Outcome::Unknown(UnknownReason::Closed(reason)) => closed(reason),
                    other => other.to_string(),
                };
                self.why.get_or_insert_with(|| one_line(&why()));
            }
        }
        Ok(())
    }

    /// One that was counted as accepted came back after all.
    pub(super) fn came_back(&mut self, returned: &Returned) -> Result<(), Failure> {
        self.accepted = self.accepted.saturating_sub(1);
        self.count(&Outcome::Returned(Box::new(returned.clone())))
    }

    fn tell(&self, word: &str, outcome: &Outcome, message: Json) -> Result<(), Failure> {
        match self.output.is_json() {
            true => self.output.tell("", &json!({ "outcome": word, "message": message }))?,
            false => eprintln!("amqp: {}", one_line(&outcome.to_string())),
        }
        Ok(())
    }

    /// Those whose outcome is known or never will be.
    pub(super) fn published(&self) -> u64 {
        self.acked + self.accepted + self.nacked + self.returned + self.unknown
    }

    pub(super) fn counts(&self) -> Json {
        json!({
            "acked": self.acked, "accepted": self.accepted, "nacked": self.nacked,
            "returned": self.returned, "unknown": self.unknown,
        })
    }

    pub(super) fn all_taken(&self) -> bool {
        self.nacked == 0 && self.returned == 0 && self.unknown == 0
    }

    /// Why an outcome is unknown, if one is.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.why.as_deref()
    }
}
