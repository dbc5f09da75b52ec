//! A mailbox: what waits to be written to one socket.
//!
//! Invariant: it never holds more than its bound. When it is full, only the newest frame of each subject
//! stays: stale news is worse than a jump. A socket that even so cannot keep up is ended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::frame::Frame;

/// What a frame is about: of two about the same, the newer one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject(pub u32);

impl Subject {
    /// Whether a home is online.
    pub(super) const HOME: Self = Self(0);
    /// What an agent may send.
    pub(super) const WATCH: Self = Self(1);
    /// Each such frame counts.
    pub(super) const EACH: Self = Self(u32::MAX);
}

/// WebSocket close codes (RFC 6455 section 7.4.1 and IANA's registry) for ends that are nobody's wish.
pub(super) mod code {
    /// The other side is silent.
    pub const SILENT: u16 = 1001;
    /// It said something it may not say.
    pub const POLICY: u16 = 1008;
    /// The broker stops; come back.
    pub const RESTART: u16 = 1012;
    /// It reads too slowly.
    pub const TRY_LATER: u16 = 1013;
}

/// What the socket does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mail {
    /// Write these frames; several in one piece.
    Frames(Bytes),
    /// Ask whether the other side is still there.
    Ping,
    /// Close with this code.
    End(u16),
}

/// What waits to be written to one socket.
#[derive(Debug)]
pub(super) struct Mailbox {
    bound: usize,
    /// A ping every so many beats of the wheel.
    rests: u8,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: Vec<(Subject, Frame)>,
    end: Option<u16>,
    ping: bool,
    beats: u8,
    /// A ping went out and nothing was heard since.
    unanswered: bool,
    bell: Option<Waker>,
}

impl Mailbox {
    /// A mailbox for at most `bound` frames, whose socket is pinged every `rests` beats.
    pub(super) fn new(bound: usize, rests: u8) -> Self {
        Self { bound, rests, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame in.
    pub(super) fn post(&self, subject: Subject, frame: &Frame) {
        let mut waiting = self.waiting();
        if waiting.end.is_some() {
            return;
        }
        if waiting.frames.len() >= self.bound {
            waiting.keep_newest();
        }
        if waiting.frames.len() >= self.bound {
            waiting.end = Some(code::TRY_LATER);
            waiting.frames = Vec::new();
        } else {
            waiting.frames.push((subject, frame.clone()));
        }
        ring(waiting);
    }

    /// Closes the socket with a code; the first one counts.
    pub(super) fn end(&self, code: u16) {
        let mut waiting = self.waiting();
        waiting.end.get_or_insert(code);
        ring(waiting);
    }

    /// The wheel came by: time for a ping, or for the end where the last one was not answered.
    pub(super) fn beat(&self) {
        let mut waiting = self.waiting();
        waiting.beats += 1;
        if waiting.beats < self.rests {
            return;
        }
        waiting.beats = 0;
        if waiting.unanswered {
            waiting.end.get_or_insert(code::SILENT);
        } else {
            waiting.unanswered = true;
            waiting.ping = true;
        }
        ring(waiting);
    }

    /// The other side said something.
    pub(super) fn heard(&self) {
        self.waiting().unanswered = false;
    }

    /// What to do next, in the order of its urgency.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut waiting = self.waiting();
        if let Some(code) = waiting.end {
            return Poll::Ready(Mail::End(code));
        }
        if !waiting.frames.is_empty() {
            let frames = std::mem::take(&mut waiting.frames);
            drop(waiting);
            return Poll::Ready(Mail::Frames(in_one_piece(&frames)));
        }
        if std::mem::take(&mut waiting.ping) {
            return Poll::Ready(Mail::Ping);
        }
        waiting.listen(cx);
        Poll::Pending
    }

    /// Only whether to close: for a socket that can take nothing now.
    pub(super) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<u16> {
        let mut waiting = self.waiting();
        waiting.listen(cx);
        waiting.end.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Waiting {
    /// Of each subject only the newest stays, in the order of those that stay.
    fn keep_newest(&mut self) {
        let frames = &mut self.frames;
        let mut at = 0;
        while at < frames.len() {
            let subject = frames[at].0;
            if subject != Subject::EACH && frames[at + 1..].iter().any(|(newer, _)| *newer == subject) {
                frames.remove(at);
            } else {
                at += 1;
            }
        }
    }

    fn listen(&mut self, cx: &mut Context<'_>) {
        match &mut self.bell {
            Some(bell) => bell.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

/// Wakes the socket's task, once the mailbox is free to be looked into.
fn ring(mut waiting: MutexGuard<'_, Waiting>) {
    let bell = waiting.bell.take();
    drop(waiting);
    if let Some(bell) = bell {
        bell.wake();
    }
}

/// One frame goes as it is; several share one write.
fn in_one_piece(frames: &[(Subject, Frame)]) -> Bytes {
    if let [(_, frame)] = frames {
        return frame.bytes().clone();
    }
    let mut piece = BytesMut::with_capacity(frames.iter().map(|(_, frame)| frame.bytes().len()).sum());
    for (_, frame) in frames {
        piece.extend_from_slice(frame.bytes());
    }
    piece.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(mailbox: &Mailbox) -> Option<Mail> {
        match mailbox.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(mail) => Some(mail),
            Poll::Pending => None,
        }
    }

    fn frame(number: u32) -> Frame {
        Frame::new(&number)
    }

    fn piece(numbers: &[u32]) -> Option<Mail> {
        let all: Vec<u8> = numbers.iter().flat_map(|n| frame(*n).bytes().to_vec()).collect();
        Some(Mail::Frames(all.into()))
    }

    #[test]
    fn what_waits_goes_out_in_order_and_in_one_piece() {
        let mailbox = Mailbox::new(8, 1);
        assert_eq!(look(&mailbox), None);
        for (subject, number) in [(5, 1), (6, 2), (5, 3)] {
            mailbox.post(Subject(subject), &frame(number));
        }
        assert_eq!(look(&mailbox), piece(&[1, 2, 3]));
        assert_eq!(look(&mailbox), None);
    }

    #[test]
    fn one_frame_is_handed_on_without_a_copy() {
        let (mailbox, frame) = (Mailbox::new(8, 1), frame(1));
        mailbox.post(Subject(5), &frame);
        let Some(Mail::Frames(bytes)) = look(&mailbox) else { panic!("no frame") };
        assert_eq!(bytes.as_ptr(), frame.bytes().as_ptr());
    }

    #[test]
    fn a_full_mailbox_keeps_the_newest_of_each_subject() {
        let mailbox = Mailbox::new(4, 1);
        for number in 0..103 {
            mailbox.post(Subject(5 + number % 2), &frame(number));
        }
        let Some(Mail::Frames(bytes)) = look(&mailbox) else { panic!("no frame") };
        assert!(bytes.ends_with(frame(102).bytes()), "the newest is there");
        assert!(bytes.len() <= 4 * frame(102).bytes().len(), "and the bound is kept");
    }

    #[test]
    fn who_cannot_keep_up_with_words_that_all_count_is_ended() {
        let mailbox = Mailbox::new(4, 1);
        for number in 0..5 {
            mailbox.post(Subject::EACH, &frame(number));
        }
        assert_eq!(look(&mailbox), Some(Mail::End(code::TRY_LATER)));
    }

    #[test]
    fn the_end_comes_before_what_waits_and_the_first_code_counts() {
        let mailbox = Mailbox::new(4, 1);
        mailbox.post(Subject(5), &frame(1));
        mailbox.end(4403);
        mailbox.end(4401);
        assert_eq!(look(&mailbox), Some(Mail::End(4403)));
    }

    #[test]
    fn an_unanswered_ping_is_the_end_and_an_answered_one_is_not() {
        let mailbox = Mailbox::new(4, 2);
        mailbox.beat();
        assert_eq!(look(&mailbox), None);
        mailbox.beat();
        assert_eq!(look(&mailbox), Some(Mail::Ping));
        mailbox.heard();
        mailbox.beat();
        mailbox.beat();
        assert_eq!(look(&mailbox), Some(Mail::Ping));
        mailbox.beat();
        mailbox.beat();
        assert_eq!(look(&mailbox), Some(Mail::End(code::SILENT)));
    }
}
