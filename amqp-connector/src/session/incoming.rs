//! Frames from the peer: what each method means, and which are violations of the protocol.
//!
//! Called by the driver, one frame at a time, in order. Replies and closes are handled where they come, so
//! they overtake deliveries that wait in consumers' queues. Nothing in a frame can panic.

use amqp_types::content::{AssembleError, Complete, Incoming};
use amqp_types::frame::{FrameKind, FrameRef};
use amqp_types::protocol::{self, Method, ReplyCode, Spec, basic, channel, connection};
use amqp_types::{AnyMethod, Body, DecodeError};
use tokio::time::Instant;
use tracing::Level;

use crate::error::{CloseCause, CloseReason, Scope};
use crate::outcome::Returned;
use crate::session::Session;
use crate::session::calls::CONTROL;
use crate::session::channel::{ChannelKey, ChannelPhase, ChannelState, Restoring};
use crate::session::consume::deliver;

impl Session {
    /// Pieces of bodies of up to this many octets are copied from the frames that come next. Larger ones hold the
    /// buffer that they were read into.
    pub(crate) fn copy_from_now(&mut self, octets: usize) {
        self.copy_max = octets;
    }

    /// Takes one frame.
    pub(crate) fn handle_frame(&mut self, frame: FrameRef<'_>, now: Instant) {
        if self.is_closed() || self.is_lost() || frame.kind == FrameKind::Heartbeat {
            return;
        }
        if frame.channel == 0 {
            return self.handle_control_frame(frame, now);
        }
        let Some(channel) = self.channels.by_id(frame.channel) else {
            return self.handle_stray(frame.channel);
        };
        let key = channel.key;
        match &channel.phase {
            ChannelPhase::Closed(_) | ChannelPhase::Restoring(Restoring::Waiting, _) => {}
            ChannelPhase::Closing(_) => self.handle_frame_while_closing(key, frame),
            ChannelPhase::Restoring(Restoring::Opening, _) => {
                self.handle_frame_while_reopening(key, frame)
            }
            ChannelPhase::Opening if channel.reused => {
                self.handle_frame_while_reopening(key, frame)
            }
            ChannelPhase::Streaming(_)
            | ChannelPhase::Draining(_)
            | ChannelPhase::Restoring(Restoring::Live, _)
                if channel.bodies.is_some() =>
            {
                self.handle_part(key, frame, now);
            }
            ChannelPhase::Opening
            | ChannelPhase::Open
            | ChannelPhase::Streaming(_)
            | ChannelPhase::Draining(_)
            | ChannelPhase::Restoring(Restoring::Live, _) => {
                let ChannelState { assembler, consumers, coalescer, last_tag, tag_base, .. } =
                    channel;
                assembler.set_copy_max(self.copy_max);
                let complete = match assembler.push_in_place(frame) {
                    Ok(None) => return,
                    Ok(Some(complete)) => complete,
                    Err(error) => return self.handle_assemble_error(key, &error),
                };
                if let Complete {
                    method: Some(Method::Basic(basic::Method::Deliver(method))),
                    content: Some(content),
                } = complete
                {
                    method.delivery_tag = method.delivery_tag.wrapping_add(*tag_base);
                    *last_tag = method.delivery_tag;
                    let (crowd, effects) = (&mut self.crowd, &mut self.effects);
                    let coalescer = coalescer.as_deref_mut();
                    let delivered = deliver(consumers, coalescer, method, content, crowd, effects);
                    return self.handle_delivered(key, delivered, now);
                }
                if let Some(incoming) = complete.take() {
                    self.handle_incoming(key, incoming);
                }
            }
        }
    }

    /// After our `channel.close` only its answer, or the peer's own close, still counts.
    fn handle_frame_while_closing(&mut self, key: ChannelKey, frame: FrameRef<'_>) {
        if frame.kind != FrameKind::Method {
            return;
        }
        match self.decode(frame) {
            Ok(Method::Channel(channel::Method::CloseOk(_))) => self.handle_channel_close_ok(key),
            // Both closed at once: the peer answers ours too, and only then the number is free.
            Ok(Method::Channel(channel::Method::Close(_))) => {
                let channel = self.channels.get(key);
                if channel.is_some_and(|it| !std::mem::replace(&mut it.close_answered, true)) {
                    self.answer_channel_close(key);
                }
            }
            Ok(_) => {}
            Err(error) => self.violation(ReplyCode::SYNTAX_ERROR, error.to_string(), None),
        }
    }

    /// A frame on a channel that is not open. A peer that has closed one may send what it had in hand, such as
    /// deliveries, until it has our close-ok; RabbitMQ does. On a number that was never in use it breaks a rule.
    #[cold]
    fn handle_stray(&mut self, id: u16) {
        if self.channels.was_used(id) {
            return self.effects.log(Level::TRACE, move || {
                tracing::trace!(channel = id, "a frame on a channel that is closed is passed over");
            });
        }
        let text = format!("a frame on channel {id}, which is not open");
        self.violation(ReplyCode::CHANNEL_ERROR, text, None);
    }

    /// Before the open-ok there may still come, from the middle of a content on, what was sent to the number's last
    /// incarnation.
    fn handle_frame_while_reopening(&mut self, key: ChannelKey, frame: FrameRef<'_>) {
        if frame.kind != FrameKind::Method {
            return;
        }
        match self.decode(frame) {
            Ok(
                method @ Method::Channel(channel::Method::OpenOk(_) | channel::Method::Close(_)),
            ) => self.handle_method(key, method),
            Ok(_) => {}
            Err(error) => self.violation(ReplyCode::SYNTAX_ERROR, error.to_string(), None),
        }
    }

    fn handle_control_frame(&mut self, frame: FrameRef<'_>, now: Instant) {
        if frame.kind != FrameKind::Method {
            let text = "a content frame on channel 0".to_owned();
            return self.violation(unexpected_frame(), text, None);
        }
        let method = match self.decode(frame) {
            Ok(method) => method,
            Err(error) => return self.violation(ReplyCode::SYNTAX_ERROR, error.to_string(), None),
        };
        match method {
            Method::Connection(connection::Method::Close(close)) => self.handle_close(&close),
            Method::Connection(connection::Method::CloseOk(_)) => self.handle_close_ok(),
            _ if self.is_ending() => {}
            method => self.handle_control_method(method, now),
        }
    }

    fn handle_control_method(
        &mut self,
        method: Method,
        #[allow(unused_variables, reason = "not every specification has `connection.blocked`")]
        now: Instant,
    ) {
        amqp_types::if_spec! { connection.blocked => {
            match &method {
                Method::Connection(connection::Method::Blocked(blocked)) => {
                    return self.begin_block(&blocked.reason, now);
                }
                Method::Connection(connection::Method::Unblocked(_)) => {
                    return self.end_block(now);
                }
                _ => {}
            }
        } else {} }
        self.handle_reply(CONTROL, method, None);
    }

    pub(in crate::session) fn handle_incoming(
        &mut self,
        key: ChannelKey,
        incoming: Incoming<Spec>,
    ) {
        match incoming {
            Incoming::Method(method) => self.handle_method(key, method),
            Incoming::Content { method, properties, body } => {
                self.handle_content(key, method, properties, body);
            }
        }
    }

    fn handle_method(&mut self, key: ChannelKey, method: Method) {
        let sent = match method {
            Method::Basic(basic::Method::Ack(ack)) => {
                return self.handle_confirmed(key, ack.delivery_tag, ack.multiple, true);
            }
            Method::Basic(basic::Method::Cancel(cancel)) => self.handle_cancel(key, &cancel),
            Method::Channel(channel::Method::Close(close)) => {
                return self.handle_channel_close(key, &close);
            }
            Method::Channel(channel::Method::Flow(flow)) => self.handle_flow(key, flow.active),
            method => return self.handle_rarer_method(key, method),
        };
        if let Err(error) = sent {
            self.effects
                .log(Level::ERROR, move || tracing::error!(%error, "an answer could not be sent"));
        }
    }

    #[allow(dead_code, reason = "not every specification has what it is for")]
    fn answer<M: amqp_types::Method<Protocol = Spec>>(&mut self, key: ChannelKey, answer: M) {
        // It has no arguments, so it always fits.
        let _ = self.send_answer(key, &answer.into_any());
    }

    /// Whether a call on the channel waits for such a method.
    #[allow(dead_code, reason = "not every specification has what it is for")]
    fn awaits(&mut self, key: ChannelKey, reply: &Method) -> bool {
        let info = reply.info();
        self.channels.get(key).is_some_and(|channel| {
            channel.calls.iter().any(|call| (call.accepts)(info.class_id, info.method_id))
        })
    }

    /// Methods that only some specifications have, and replies.
    fn handle_rarer_method(&mut self, key: ChannelKey, method: Method) {
        amqp_types::if_spec! { basic.nack => {
            if let Method::Basic(basic::Method::Nack(nack)) = &method {
                return self.handle_confirmed(key, nack.delivery_tag, nack.multiple, false);
            }
        } else {} }
        amqp_types::if_spec! { channel.ping => {
            match &method {
                Method::Channel(channel::Method::Ping(_)) => {
                    self.answer(key, channel::Ok::default());
                    return self.answer(key, channel::Pong::default());
                }
                Method::Channel(channel::Method::Pong(_)) => {
                    return self.answer(key, channel::Ok::default());
                }
                // To a pong that we sent.
                Method::Channel(channel::Method::Ok(_)) if !self.awaits(key, &method) => return,
                _ => {}
            }
        } else {} }
        amqp_types::if_spec! { channel.alert => {
            if let Method::Channel(channel::Method::Alert(alert)) = method {
                let channel::Alert { reply_code, reply_text, details } = alert;
                return self.handle_alert(key, crate::outcome::Alert::new(reply_code, reply_text, details));
            }
        } else {} }
        self.handle_reply(key, method, None);
    }

    fn handle_confirmed(&mut self, key: ChannelKey, tag: u64, multiple: bool, positive: bool) {
        if !self.handle_confirm(key, tag, multiple, positive) {
            let text = format!("a confirm for publish {tag}, which was never sent in confirm mode");
            self.violation(ReplyCode::COMMAND_INVALID, text, None);
        }
    }

    fn handle_content(
        &mut self,
        key: ChannelKey,
        method: Method,
        properties: protocol::Properties,
        body: Body,
    ) {
        match (method, properties) {
            (
                Method::Basic(basic::Method::Return(returned)),
                protocol::Properties::Basic(properties),
            ) => self.handle_return(key, Returned::new(returned, properties, body)),
            (method, properties) => {
                self.handle_reply(key, method, Some((properties, body)));
            }
        }
    }

    fn decode(&self, frame: FrameRef<'_>) -> Result<Method, DecodeError> {
        Method::decode_limited(frame.payload, self.options.table_limits)
    }

    /// A body over the limit ends its channel, properties that cannot be read cost their message; any other disorder of
    /// frames the connection.
    pub(in crate::session) fn handle_assemble_error(
        &mut self,
        key: ChannelKey,
        error: &AssembleError,
    ) {
        match error {
            AssembleError::BodyTooLarge { .. } => {
                let reason = CloseReason::new(
                    Scope::Channel(key.id),
                    CloseCause::LimitExceeded,
                    error.to_string(),
                )
                .with_code(ReplyCode::CONTENT_TOO_LARGE);
                self.close_channel_because(key, reason);
            }
            AssembleError::Properties(error) => self.handle_unreadable(key, *error),
            AssembleError::Decode(_) => {
                self.violation(ReplyCode::SYNTAX_ERROR, error.to_string(), None);
            }
            _ => self.violation(unexpected_frame(), error.to_string(), None),
        }
    }
}

/// 505 where the specification names it.
fn unexpected_frame() -> ReplyCode {
    amqp_types::if_spec! { constant.unexpected_frame => {
        ReplyCode::UNEXPECTED_FRAME
    } else {
        ReplyCode::COMMAND_INVALID
    } }
}
