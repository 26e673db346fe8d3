//! What a test left behind: looking for it, naming it, and clearing it away.
//!
//! The broker's side is read in the broker itself, by one expression over tables that it keeps exact
//! from moment to moment: the Erlang VM's sockets (so a connection counts from accept on, long before
//! AMQP has opened it), and RabbitMQ's tables of open connections and channels.

use std::fmt;

use crate::broker::{Broker, EvalError};
use crate::sockets;

/// One thing that was left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leak {
    /// So many tasks of the test's runtime are alive.
    Tasks(usize),
    /// A socket of this process: its port, the broker's, and its state.
    Socket(u16, u16, &'static str),
    /// The broker's end of a connection from this port of ours.
    BrokerSocket(u16),
    /// A connection that is open for the broker: its name there, and what the client called it.
    Connection(String),
    /// A channel that is open for the broker: the name of its connection, and its number.
    Channel(String),
    /// A queue with the test's prefix.
    Queue(String),
    /// An exchange with the test's prefix.
    Exchange(String),
    /// The broker could not be asked.
    Unknown(EvalError),
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks(1) => write!(f, "1 task of the test's runtime"),
            Self::Tasks(n) => write!(f, "{n} tasks of the test's runtime"),
            Self::Socket(local, remote, state) => {
                write!(f, "socket of this process, port {local} to the broker's {remote}, {state}")
            }
            Self::BrokerSocket(port) => {
                write!(f, "socket on the broker, connected to our port {port}")
            }
            Self::Connection(name) => write!(f, "connection on the broker, {name}"),
            Self::Channel(name) => write!(f, "channel on the broker, {name}"),
            Self::Queue(name) => write!(f, "queue `{name}`"),
            Self::Exchange(name) => write!(f, "exchange `{name}`"),
            Self::Unknown(error) => write!(f, "unknown: {error}"),
        }
    }
}

/// All that was left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaks(pub Vec<Leak>);

impl Leaks {
    /// Whether nothing was left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the test left behind:")?;
        self.0.iter().try_for_each(|leak| write!(f, "\n  - {leak}"))
    }
}

/// What belongs to one test on the broker: everything on a port, and every name with a prefix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traces<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) port: u16,
    pub(crate) prefix: &'a str,
}

impl Traces<'_> {
    /// Looks once; takes some milliseconds.
    pub(crate) fn find(self, tasks: usize) -> Leaks {
        let mut leaks = Leaks::default();
        if tasks > 0 {
            leaks.0.push(Leak::Tasks(tasks));
        }
        leaks.0.extend(
            sockets::leading_to(self.port)
                .into_iter()
                .map(|socket| Leak::Socket(socket.local_port, socket.remote_port, socket.state)),
        );
        if self.broker.is_observable() {
            match self.broker.eval(&self.question()) {
                Ok(answer) => leaks.0.extend(answer.lines().filter_map(parse)),
                Err(error) => leaks.0.push(Leak::Unknown(error)),
            }
        }
        leaks
    }

    /// Clears away what is on the broker, for the sake of the tests that follow.
    pub(crate) fn clear(self) -> Result<(), EvalError> {
        if !self.broker.is_observable() {
            return Ok(());
        }
        let Self { port, prefix, .. } = self;
        let own = owned_names(prefix);
        self.broker.eval(&format!(
            "{own}
             [catch rabbit_networking:close_connection(P, \"left behind by a test\")
                 || {{P, I}} <- ets:tab2list(connection_created), proplists:get_value(port, I) =:= {port}],
             [catch rabbit_amqqueue:with(Q, fun(R) -> rabbit_amqqueue:delete(R, false, false, <<\"test\">>) end)
                 || Q <- Own(rabbit_amqqueue:list_names())],
             [catch rabbit_exchange:delete(E, false, <<\"test\">>)
                 || E <- Own(rabbit_exchange:list_names())],
             \"\""
        ))?;
        Ok(())
    }

    /// An Erlang expression whose text has a line for each thing that is there: a word, then its name.
    fn question(self) -> String {
        let Self { port, prefix, .. } = self;
        let own = owned_names(prefix);
        format!(
            "{own}
             Names = fun(Kind, All) ->
                 [io_lib:format(\"~s ~ts~n\", [Kind, N]) || {{resource, _, _, N}} <- Own(All)] end,
             Called = fun(I) -> case lists:keyfind(<<\"connection_name\">>, 1,
                 proplists:get_value(client_properties, I, [])) of
                 {{_, _, N}} -> [\", called `\", N, \"`\"]; false -> \"\" end end,
             Name = fun(I) -> proplists:get_value(name, I) end,
             [[io_lib:format(\"socket ~b~n\", [Peer])
                 || P <- erlang:ports(), erlang:port_info(P, name) =:= {{name, \"tcp_inet\"}},
                    {{ok, {{_, {port}}}}} <- [inet:sockname(P)], {{ok, {{_, Peer}}}} <- [inet:peername(P)]],
              [io_lib:format(\"connection ~ts~ts~n\", [Name(I), Called(I)])
                 || {{P, I}} <- ets:tab2list(connection_created), is_process_alive(P),
                    proplists:get_value(port, I) =:= {port}],
              [io_lib:format(\"channel ~ts~n\", [Name(I)])
                 || {{P, I}} <- ets:tab2list(channel_created), is_process_alive(P),
                    binary:match(Name(I), <<\":{port} (\">>) =/= nomatch],
              Names(\"queue\", rabbit_amqqueue:list_names()),
              Names(\"exchange\", rabbit_exchange:list_names())]"
        )
    }
}

/// Erlang that binds `Own` to a function: those of a list of names that begin with `prefix`.
fn owned_names(prefix: &str) -> String {
    let size = prefix.len();
    format!(
        "Prefix = <<\"{prefix}\">>,
         Own = fun(All) -> [R || {{resource, _, _, N}} = R <- All,
             binary:longest_common_prefix([N, Prefix]) =:= {size}] end,"
    )
}

fn parse(line: &str) -> Option<Leak> {
    let (kind, name) = line.split_once(' ')?;
    Some(match kind {
        "socket" => Leak::BrokerSocket(name.parse().ok()?),
        "connection" => Leak::Connection(name.to_owned()),
        "channel" => Leak::Channel(name.to_owned()),
        "queue" => Leak::Queue(name.to_owned()),
        "exchange" => Leak::Exchange(name.to_owned()),
        _ => return None,
    })
}
