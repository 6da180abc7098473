//! What the other threads ask of this one.

use std::time::Instant;

use crate::error::NodeError;
use crate::post::{Call, Post};
use crate::stream::Feed;

use super::{Place, Worker};

impl Worker {
    pub(super) fn take_post(&mut self, now: Instant, post: Post) {
        match post {
            Post::Datagram { from, mut bytes } => self.sort_datagram(now, from, &mut bytes),
            Post::Connection(admitted) => self.take_connection(now, *admitted),
            Post::Burst { stream, burst } => self.gather(&stream, &burst, false),
            Post::Described { stream, description } => self.describe(&stream, description, Feed::Elsewhere),
            Post::Ended { stream, reason } => {
                self.deliver(now);
                self.end_stream(now, &stream, reason);
            }
            Post::KeyFrameWanted { stream, layer } => self.request_key_frame(now, &stream, layer),
            Post::Inject { stream, kind, access_unit, time, key_frame } => {
                self.inject(now, &stream, kind, &access_unit, time, key_frame);
            }
            Post::Tell { to, message } => self.tell(now, &to, &message),
            Post::Call(call) => self.take_call(now, call),
            Post::Stop => self.stopping = true,
        }
    }

    fn take_call(&mut self, now: Instant, call: Call) {
        // A caller that no longer waits needs no answer.
        match call {
            Call::Publish { stream, session, offer, reply } => {
                let _ = reply.send(self.publish(now, stream, session, &offer));
            }
            Call::Subscribe { stream, session, offer, layers_all, reply } => {
                let result = self.subscribe(now, stream, session, offer.as_deref(), layers_all);
                if result.is_err() {
                    self.shared.leave();
                    self.shared.loads[usize::from(self.index)].leave();
                }
                let _ = reply.send(result);
            }
            Call::Pull { stream, session, labels, reply } => {
                let _ = reply.send(self.pull(now, stream, session, &labels));
            }
            Call::Accept { session, answer, reply } => {
                let _ = reply.send(self.accept(now, &session, &answer));
            }
            Call::Trickle { session, fragment, reply } => {
                let _ = reply.send(self.trickle(now, &session, &fragment));
            }
            Call::Choose { session, wish, reply } => {
                let _ = reply.send(match self.by_session.get(&session).copied() {
                    Some(Place::Subscriber(slot)) => {
                        self.with_taker(now, slot, |taker, cache, outbox| {
                            taker.subscriber.set_wish(now, wish, cache, outbox);
                        });
                        Ok(())
                    }
                    _ => Err(NodeError::SessionUnknown(session.to_string())),
                });
            }
            Call::Close { session, reply } => {
                let place = self.by_session.get(&session).copied();
                if let Some(place) = place {
                    self.close(now, place);
                }
                let _ = reply.send(Ok(place.is_some()));
            }
            Call::Open { stream, description, reply } => {
                self.open(now, &stream, description);
                let _ = reply.send(Ok(()));
            }
            Call::End { stream, reply } => {
                let known =
                    self.streams.contains_key(&stream) || self.sources.iter().flatten().any(|s| s.stream == stream);
                if known {
                    self.end_everywhere(now, &stream, "ended");
                }
                let _ = reply.send(if known { Ok(()) } else { Err(NodeError::StreamUnknown(stream.to_string())) });
            }
            Call::Tap { stream, queue, reply } => {
                let _ = reply.send(self.tap(now, &stream, queue));
            }
        }
    }
}
