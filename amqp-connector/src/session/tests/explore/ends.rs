//! How a history ends, and what holds then.

use super::super::*;
use super::user::{CLOSE, User};
use super::world::{Action, End, World};

impl World {
    /// Brings the history to an end.
    pub(super) fn end(mut self, end: End) {
        match end {
            End::Cut => self.cut(),
            End::Silence => self.fall_silent(),
            End::Calm => self.calm_down(),
        }
        self.check();
        self.check_nothing_waits();
        self.check_nothing_is_left();
    }

    fn cut(&mut self) {
        if !self.gone {
            self.bench.run(|session| session.handle_io_end(None));
            self.let_go();
        }
    }

    fn fall_silent(&mut self) {
        self.broker.inbound.clear();
        self.pass(Duration::from_secs(600));
        for wait in self.users.iter().filter_map(User::wait) {
            assert!(!wait.is_bounded(), "no answer comes, and a user waits for {}", wait.name());
        }
        let now = self.bench.now;
        self.bench.run(|session| session.shut_down(now, CLOSE));
        self.pass(2 * CLOSE);
        assert!(self.bench.session.is_closed(), "a close without an answer has no end");
        // What cannot be written is given up by the driver at the deadline.
        if !self.gone {
            self.let_go();
        }
    }

    /// Time passes, and nothing comes. The driver looks when it has asked to, users when they are woken.
    fn pass(&mut self, time: Duration) {
        let end = self.bench.now + time;
        for _ in 0..100 {
            self.driver_waker.wake_by_ref();
            self.drive(true);
            for user in &mut self.users {
                if let Some(wait) = user.wait() {
                    wait.look_at_clock(self.bench.now);
                }
                user.look(&mut self.bench, &self.broker);
            }
            self.drive(true);
            if self.bench.now == end {
                return;
            }
            let due = self.bench.session.poll_timeout().filter(|_| !self.gone);
            let alarms = self.users.iter().filter_map(|user| user.wait()?.alarm());
            let next = alarms.chain(due).min();
            self.bench.now = next.unwrap_or(end).clamp(self.bench.now, end);
        }
        panic!("a clock asks to be looked at for ever");
    }

    fn calm_down(&mut self) {
        self.settle();
        for user in &mut self.users {
            user.take_outcomes(&mut self.bench, &self.broker);
        }
        // What could not go before there was room again.
        self.settle();
        for user in &mut self.users {
            user.take_outcomes(&mut self.bench, &self.broker);
        }
        self.check_accounts();
        for user in &mut self.users {
            user.settle_all(&mut self.bench);
        }
        self.settle();
        for user in &mut self.users {
            user.read_to_end(&mut self.bench);
            if let Some(wait) = user.wait() {
                // What is read is only got here, and closes may wait for that.
                let what = wait.name();
                let may = what == "a delivery" || what.ends_with("close");
                assert!(may, "all has come, and a user waits for {what}");
            }
            user.drop_all(&mut self.bench);
        }
        self.settle();
        let now = self.bench.now;
        self.bench.run(|session| session.shut_down(now, CLOSE));
        self.settle();
        assert!(self.gone, "a close was answered, and the connection lives");
        self.rules.check_end();
    }

    /// The broker does what it owes, all of it arrives, and users look at what they get.
    fn settle(&mut self) {
        loop {
            self.drive(true);
            for user in &mut self.users {
                user.look(&mut self.bench, &self.broker);
            }
            self.drive(true);
            if self.can(Action::Arrive) {
                self.arrive();
            } else if (self.driver.get() == 0 || self.gone) && !self.broker.be_kind() {
                return;
            }
        }
    }

    /// Whatever the broker has delivered is with a user, and nobody else has it; and no outcome is with nobody.
    fn check_accounts(&mut self) {
        let confirms = self.bench.session.leftovers().confirms;
        assert_eq!(confirms, 0, "outcomes that nobody will ask for are kept");
        let keys: Vec<ChannelKey> = self.users.iter().filter_map(User::key).collect();
        for key in keys {
            let open = self.bench.session.channels.get(key).is_some_and(|it| it.is_open());
            let Some(unsettled) = self.broker.unsettled(key.id).filter(|_| open && !self.gone)
            else {
                continue;
            };
            let mut tags: Vec<u64> = Vec::new();
            for user in &self.users {
                tags.extend(user.tags(&mut self.bench, key));
            }
            tags.sort_unstable();
            assert!(tags.iter().eq(unsettled), "users have {tags:?}, the broker {unsettled:?}");
            assert_eq!(self.rules.unsettled(key.id), Some(unsettled), "the rules and the broker");
        }
    }

    /// Each user is told an end of whatever it waits for.
    fn check_nothing_waits(&mut self) {
        assert!(self.gone && self.bench.session.is_closed());
        for user in &mut self.users {
            let over = user.look(&mut self.bench, &self.broker);
            assert!(over, "all is over, and a user still waits");
            user.take_outcomes(&mut self.bench, &self.broker);
            assert!(user.read_to_end(&mut self.bench), "a consumer is not over");
        }
    }

    fn check_nothing_is_left(&mut self) {
        for user in &mut self.users {
            user.drop_all(&mut self.bench);
        }
        self.bench.run(Session::release);
        let session = &mut self.bench.session;
        assert_eq!(session.leftovers(), Leftovers::default());
        let budgets = (
            session.room.reserved(),
            session.reserved_behind,
            session.outbox.shared(),
            session.outbox.large(),
            session.crowd.octets(),
        );
        assert_eq!(budgets, (0, 0, 0, 0, 0), "budgets are not given back");
    }
}
