//! The sign of life for the service manager's watchdog.
//!
//! A timer that runs proves nothing. Each worker answers between two of its tasks, as it does for requests: one that is blocked
//! does not, and then no sign of life is sent.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::rt;
use futures_util::future::join_all;
use tokio::{
    sync::{
        mpsc::{Receiver, Sender, channel},
        oneshot,
    },
    time::{self, MissedTickBehavior, timeout},
};

use crate::service_manager::Notifier;

/// The workers that are asked; a clone asks the same ones.
#[derive(Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Vec<Sender<Reply>>>>);

/// Where an answer goes.
type Reply = oneshot::Sender<()>;

impl Pulse {
    /// Has the worker of this thread answer from now on.
    pub(super) fn join(&self) {
        let (asking, asked) = channel(1);
        self.workers().push(asking);
        rt::spawn(answer(asked));
    }

    /// Whether every worker answers, for which it waits as long as it takes; false if there is none. Workers that have ended
    /// are not asked.
    async fn is_felt(&self) -> bool {
        let workers = {
            let mut workers = self.workers();
            workers.retain(|worker| !worker.is_closed());
            workers.clone()
        };
        let answers = join_all(workers.iter().map(ask)).await;
        !answers.is_empty() && answers.into_iter().all(|answered| answered)
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Sender<Reply>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(worker: &Sender<Reply>) -> bool {
    let (reply, answered) = oneshot::channel();
    worker.send(reply).await.is_ok() && answered.await.is_ok()
}

async fn answer(mut asked: Receiver<Reply>) {
    while let Some(reply) = asked.recv().await {
        // A question that has timed out needs no answer.
        let _ = reply.send(());
    }
}

/// Sends signs of life twice in each period while all workers answer. Never returns.
pub(super) async fn watch(pulse: Pulse, notifier: Notifier, period: Duration) {
    let every = period / 2;
    let mut ticks = time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if timeout(every, pulse.is_felt()).await == Ok(true) {
            notifier.alive();
        } else {
            log::error!("a worker does not answer, and the service manager is not notified that this server is alive");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::mpsc::{self, Receiver},
        thread,
    };

    use actix_web::rt::System;
    use futures_util::FutureExt;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    /// A worker on a thread of its own. It answers, and blocks from each message until the message's sender is dropped.
    fn worker(pulse: &Pulse) -> UnboundedSender<Receiver<()>> {
        let (block, mut blocks) = unbounded_channel::<Receiver<()>>();
        let (joined, has_joined) = mpsc::channel();
        let pulse = pulse.clone();
        let work = async move {
            pulse.join();
            joined.send(()).unwrap();
            while let Some(blocked) = blocks.recv().await {
                while blocked.recv().is_ok() {}
            }
        };
        thread::spawn(move || System::new().block_on(work));
        has_joined.recv().unwrap();
        block
    }

    #[test]
    fn a_worker_that_is_blocked_does_not_answer_until_it_goes_on() {
        System::new().block_on(async {
            let pulse = Pulse::default();
            assert!(!pulse.is_felt().await, "there is no worker");
            let (_free, busy) = (worker(&pulse), worker(&pulse));
            assert!(pulse.is_felt().await);

            let (unblock, blocked) = mpsc::sync_channel(0);
            busy.send(blocked).unwrap();
            // Taken only by a worker that is blocked.
            unblock.send(()).unwrap();
            let first = pulse.workers()[0].clone();
            let mut felt = pin!(pulse.is_felt());
            assert_eq!(felt.as_mut().now_or_never(), None);
            // The one that is free has answered by then.
            assert!(ask(&first).await);
            assert_eq!(felt.as_mut().now_or_never(), None);
            drop(unblock);

            assert!(felt.await);
        });
    }

    #[test]
    fn a_worker_that_has_ended_is_not_asked() {
        System::new().block_on(async {
            let pulse = Pulse::default();
            let _free = worker(&pulse);
            pulse.workers().push(channel(1).0);

            assert!(pulse.is_felt().await);
            assert_eq!(pulse.workers().len(), 1);
        });
    }
}
