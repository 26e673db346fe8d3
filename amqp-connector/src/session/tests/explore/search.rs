//! The search: every history of a scenario up to a number of actions, and every end of each of them.
//!
//! A session cannot be copied, so each history is made anew from its beginning. Two histories are taken for one state only if the
//! session was told the very same in the same order, and the broker is in the same state, which nothing can tell apart: what
//! differs is then when the broker did what has not arrived yet. A history that breaks a check is printed, action by action.

use std::collections::HashSet;

use super::world::{Action, ENDS, End, Scenario, Told, World};

/// How many histories are made up at random for each scenario.
const WALKS: u64 = 100;

/// What a search has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// States, each of which was brought to all ends.
    pub(super) states: usize,
    /// Histories that led to a state that another had led to.
    pub(super) again: usize,
    /// States in which nothing more can happen but an end.
    pub(super) complete: usize,
    /// Actions of histories that were made up at random, till nothing more could happen.
    pub(super) wandered: usize,
}

/// Tries everything that can happen within so many actions, and some histories to their very end.
pub(super) fn explore(scenario: &'static Scenario, depth: usize) -> Seen {
    let (mut seen, mut known) = (Seen::default(), HashSet::new());
    visit(scenario, depth, &mut Vec::new(), &mut seen, &mut known);
    for seed in 0..WALKS {
        seen.wandered += wander(scenario, seed);
    }
    seen
}

/// Goes on at random until only an end is left, which is far beyond what can be searched.
fn wander(scenario: &'static Scenario, seed: u64) -> usize {
    let end = if seed.is_multiple_of(4) { End::Silence } else { End::Calm };
    let mut history = History::new(scenario, &[], end);
    let mut random = seed;
    loop {
        let actions = history.world.actions();
        if actions.is_empty() {
            break;
        }
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        history.act(actions[(random >> 33) as usize % actions.len()]);
    }
    let length = history.trace.actions.len();
    history.end();
    length
}

/// `path` tells which of the possible actions was taken each time.
fn visit(
    scenario: &'static Scenario,
    depth: usize,
    path: &mut Vec<usize>,
    seen: &mut Seen,
    known: &mut HashSet<u64>,
) {
    let mut choices = 0;
    for (n, end) in ENDS.into_iter().enumerate() {
        let history = History::new(scenario, path, end);
        if n == 0 {
            if !known.insert(history.world.fingerprint()) {
                seen.again += 1;
                return;
            }
            choices = history.world.actions().len();
        }
        history.end();
    }
    seen.states += 1;
    seen.complete += usize::from(choices == 0);
    if path.len() < depth {
        for choice in 0..choices {
            path.push(choice);
            visit(scenario, depth, path, seen, known);
            path.pop();
        }
    }
}

/// One history, and how it came about.
struct History {
    world: World,
    trace: Trace,
}

impl History {
    fn new(scenario: &'static Scenario, path: &[usize], end: End) -> Self {
        let trace = Trace { scenario, actions: Vec::with_capacity(path.len()), end };
        let mut history = Self { world: World::new(scenario), trace };
        for choice in path {
            let action = history.world.actions()[*choice];
            history.act(action);
        }
        history
    }

    fn act(&mut self, action: Action) {
        self.trace.actions.push((action, self.world.tell(action)));
        self.world.act(action);
    }

    fn end(self) {
        let Self { world, trace } = self;
        world.end(trace.end);
    }
}

/// Tells of the history that breaks a check.
struct Trace {
    scenario: &'static Scenario,
    actions: Vec<(Action, Told)>,
    end: End,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { scenario, actions, end } = self;
            eprintln!("in the scenario `{}`:", scenario.name);
            for (action, told) in actions {
                eprintln!("  {action:?}: {told:?}");
            }
            eprintln!("  and then {end:?}");
        }
    }
}
