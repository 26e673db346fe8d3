//! One history: a session with its users, its broker, a driver and the rules, taken from state to state by actions.
//!
//! The driver looks only when it was woken or something came, as the real one does. After each action the state is
//! checked; [`World::end`] brings it to one of three ends.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hasher};

use super::super::*;
use super::broker::{Broker, Event, Message};
use super::rules::Rules;
use super::user::{Step, User};
use crate::CloseCause;

/// Who takes part in what.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// The steps of each user, and how often it may let go of what it awaits.
    pub(super) users: &'static [(&'static [Step], usize)],
    /// What the broker may do, each once, in any order.
    pub(super) events: &'static [Event],
    /// What is done before the search begins, by the users in turns; what they ask for is answered.
    pub(super) prelude: usize,
    /// Writing is an action of its own.
    pub(super) slow: bool,
    /// Contents come frame by frame.
    pub(super) pieces: bool,
    pub(super) unconfirmed_max: usize,
}

impl Scenario {
    pub(super) const PLAIN: Self = Self {
        name: "",
        users: &[],
        events: &[],
        prelude: 0,
        slow: false,
        pieces: false,
        unconfirmed_max: 100,
    };
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A user takes its next step.
    Act(usize),
    /// A user lets go of what it awaits.
    LetGo(usize),
    /// What the broker sent next arrives, or a frame of it.
    Arrive,
    /// The driver writes.
    Write,
    /// One of the scenario's events.
    Happen(usize),
}

/// What an action is about, to be told of a history.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "told by its `Debug`")]
pub(super) enum Told {
    Step(Option<Step>),
    Comes(u16, &'static str),
    Event(Event),
    Nothing,
}

/// How a history ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The transport is cut.
    Cut,
    /// The broker says nothing more, and time passes.
    Silence,
    /// Everything arrives, and the connection is closed.
    Calm,
}

pub(super) const ENDS: [End; 3] = [End::Cut, End::Silence, End::Calm];

pub(super) struct World {
    scenario: &'static Scenario,
    pub(super) bench: Bench,
    pub(super) broker: Broker,
    pub(super) rules: Rules,
    pub(super) users: Vec<User>,
    happened: Vec<bool>,
    pub(super) driver: Arc<Count>,
    pub(super) driver_waker: Waker,
    /// The driver has let go of the transport.
    pub(super) gone: bool,
    /// All that the session was told, in its order.
    inputs: Digest,
}

/// What is written to it, in short.
#[derive(Clone, Default)]
struct Digest(DefaultHasher);

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

impl World {
    pub(super) fn new(scenario: &'static Scenario) -> Self {
        let mut options = Options::default();
        options.unconfirmed_max = scenario.unconfirmed_max;
        let users = scenario.users.iter().enumerate();
        let (driver, driver_waker) = counter();
        let mut world = Self {
            scenario,
            bench: Bench::with(options),
            broker: Broker::new(),
            rules: Rules::default(),
            users: users.map(|(number, user)| User::new(number, *user)).collect(),
            happened: vec![false; scenario.events.len()],
            driver,
            driver_waker,
            gone: false,
            inputs: Digest::default(),
        };
        world.driver_waker.wake_by_ref();
        world.drive(true);
        for _ in 0..scenario.prelude {
            for user in 0..world.users.len() {
                world.act(Action::Act(user));
                world.drive(true);
                while world.can(Action::Arrive) {
                    world.act(Action::Arrive);
                }
            }
        }
        world
    }

    /// What can happen now.
    pub(super) fn actions(&self) -> Vec<Action> {
        let users = 0..self.users.len();
        let acts = users.clone().map(Action::Act);
        let all = acts
            .chain(users.map(Action::LetGo))
            .chain([Action::Arrive, Action::Write])
            .chain((0..self.happened.len()).map(Action::Happen));
        all.filter(|action| self.can(*action)).collect()
    }

    pub(super) fn can(&self, action: Action) -> bool {
        match action {
            Action::Act(user) => self.users[user].can_act(),
            Action::LetGo(user) => self.users[user].can_let_go(),
            Action::Arrive => !self.gone && !self.broker.inbound.is_empty(),
            Action::Write => {
                !self.gone && self.scenario.slow && self.bench.session.outbox.outstanding() > 0
            }
            Action::Happen(event) => {
                !self.gone && !self.happened[event] && self.broker.can(self.scenario.events[event])
            }
        }
    }

    /// What an action would be about.
    pub(super) fn tell(&self, action: Action) -> Told {
        match action {
            Action::Act(user) => Told::Step(self.users[user].step()),
            Action::Happen(event) => Told::Event(self.scenario.events[event]),
            Action::Arrive => self.broker.inbound.front().map_or(Told::Nothing, |message| {
                Told::Comes(message.channel, message.method.info().full_name)
            }),
            Action::LetGo(_) | Action::Write => Told::Nothing,
        }
    }

    /// The same only for states that nothing can tell apart.
    pub(super) fn fingerprint(&self) -> u64 {
        let (mut digest, Self { broker, happened, .. }) = (self.inputs.clone(), self);
        write!(digest, "{broker:?}{happened:?}").expect("it takes all");
        digest.0.finish()
    }

    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Act(_) | Action::LetGo(_) | Action::Write => {
                write!(self.inputs, "{action:?}").expect("it takes all");
            }
            // Told where it arrives, and by the broker's state.
            Action::Arrive | Action::Happen(_) => {}
        }
        let Self { users, bench, broker, .. } = self;
        match action {
            Action::Act(user) => users[user].act(bench, broker),
            Action::LetGo(user) => users[user].let_go(bench),
            Action::Arrive => return self.arrive(),
            Action::Write => return self.drive(true),
            Action::Happen(event) => {
                self.happened[event] = true;
                broker.happen(self.scenario.events[event]);
            }
        }
        self.drive(!self.scenario.slow);
        self.check();
    }

    pub(super) fn arrive(&mut self) {
        let Some(mut message) = self.broker.inbound.pop_front() else { return };
        write!(self.inputs, "{message:?}").expect("it takes all");
        let Message { channel, method, frames } = &mut message;
        let mut part: Vec<Frame> = Vec::new();
        if frames.front().is_some_and(|frame| frame.kind == FrameKind::Method) {
            self.rules.came(*channel, method);
        }
        match self.scenario.pieces {
            true => part.extend(frames.pop_front()),
            false => part.extend(frames.drain(..)),
        }
        if !frames.is_empty() {
            self.broker.inbound.push_front(message);
        }
        let now = self.bench.now;
        for frame in part {
            self.bench.run(|session| session.handle_frame((&frame).into(), now));
        }
        self.driver_waker.wake_by_ref();
        self.drive(!self.scenario.slow);
        self.check();
    }

    /// As the driver, if it was woken; with `write` it takes what there is to write.
    pub(super) fn drive(&mut self, write: bool) {
        let mut written = 0;
        while !self.gone && (self.driver.reset() > 0 || written > 0 || write && self.scenario.slow)
        {
            let now = self.bench.now;
            let mut segments = VecDeque::new();
            let waker = self.driver_waker.clone();
            self.bench.run(|session| {
                session.handle_timeout(now);
                session.ensure_close_deadline(now);
                session.handle_written(std::mem::take(&mut written), true, now);
                if write {
                    session.take_output(&mut segments);
                }
                session.set_driver(&waker);
            });
            if self.bench.session.is_aborted() {
                return self.let_go();
            }
            for segment in segments {
                let octets = segment.to_vec();
                written += octets.len();
                self.bench.out.extend_from_slice(&octets);
            }
            self.carry();
            let idle = written == 0 && self.bench.session.outbox.outstanding() == 0;
            if self.bench.session.is_closed() && idle {
                self.let_go();
            }
            if write && self.scenario.slow && written == 0 {
                return;
            }
        }
    }

    /// The broker gets what was written.
    fn carry(&mut self) {
        while let Some(frame) =
            FRAMING.decode(&mut self.bench.out, u32::MAX).expect("frames are whole")
        {
            self.rules.sent(&frame);
            self.broker.take(frame);
        }
    }

    /// As the driver, at its end.
    pub(super) fn let_go(&mut self) {
        self.gone = true;
        self.bench.run(Session::handle_driver_gone);
    }

    /// What holds in every state.
    pub(super) fn check(&mut self) {
        if let Some(reason) = self.bench.session.close_reason() {
            let cause = reason.cause();
            assert!(cause != CloseCause::ProtocolViolation, "{reason}");
        }
        let lies = self.bench.session.outbox.outstanding();
        if !self.scenario.slow && !self.gone {
            assert_eq!(lies, 0, "octets lie, and nobody has woken the driver");
        }
        for user in &self.users {
            let Some(wait) = user.hangs() else { continue };
            let (what, channel) = (wait.name(), self.bench.session.channels.get(wait.key));
            assert!(!self.gone, "the connection is over, and a user still waits for {what}");
            let over = channel.is_some_and(|channel| channel.ended().is_some());
            let hangs = over && wait.ends_with_channel();
            assert!(!hangs, "the channel is over, and a user still waits for {what}");
        }
    }
}
