//! A child that dies with its parent: the one place with `unsafe` in it.
//!
//! Only the child itself can ask the kernel for that (`PR_SET_PDEATHSIG`, prctl(2)), between `fork` and `exec`, and
//! no safe way leads there. The kernel means the *thread* that started the child, so this goes with
//! [`Starter`](crate::tasks::Starter). It forgets the wish when it starts a program that is set-user-id or has file
//! capabilities; `cloudflared` is neither.

#![allow(unsafe_code)]

use std::io;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid, setsid};
use tokio::process::Command;

/// Gives the child a session of its own (a terminal's signals are for us alone), and an end with its parent's.
pub fn bind(command: &mut Command) {
    let parent = getpid();
    let before_exec = move || {
        setsid()?;
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the wish was made.
        if getppid() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: what runs between fork and exec makes three system calls that are async-signal-safe
    // (signal-safety(7)); it allocates nothing, takes no lock and touches no memory of the parent.
    unsafe { command.pre_exec(before_exec) };
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Duration;

    use super::*;
    use crate::tasks::Starter;

    #[tokio::test]
    async fn a_child_dies_with_the_thread_that_started_it() {
        let starter = Starter::new().unwrap();
        let mut command = Command::new("sleep");
        command.arg("100");
        bind(&mut command);
        let mut child = starter.carry_out(move || command.spawn()).await.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "it lives while its starter does");
        drop(starter);
        let ended = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
        assert_eq!(ended.expect("it ends").unwrap().signal(), Some(Signal::SIGKILL as i32));
    }
}
