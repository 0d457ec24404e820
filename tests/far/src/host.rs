//! The host, as far as a driver notices it: each checkpoint is stored, waits are waited, and what is to be retried is repeated.

use moganite_driver::{Answer, Context, DeployDoing, Deployed, Fault, Node, NodeDoing, Pause, Undoing, testing};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::Duration;

/// The last checkpoint of an operation.
pub type Trail = RefCell<Option<Vec<u8>>>;

/// What a doing verb answered, and the last checkpoint that it stored.
#[derive(Debug)]
pub struct Did<T> {
    pub answer: Result<T, Fault>,
    pub trail: Option<Vec<u8>>,
}

/// What a verb answers: its end, or a pause.
pub trait Ends {
    type Done;
    fn end(self) -> Result<Self::Done, Pause>;
}

/// How patient it is, and what it calls with.
pub struct Host {
    /// Settings of the backend, JSON.
    pub settings: RefCell<String>,
    longest: Duration,
    retry_after: Duration,
    /// Tries without a new checkpoint.
    attempts: u32,
    /// Calls after which an operation is taken for endless.
    calls: usize,
    /// Whether a driver's time is the machine's, and does not begin at a million seconds.
    is_real: bool,
    /// Whatever is answered next, nobody repeats the call.
    given_up: Cell<bool>,
}

impl Host {
    pub fn with(settings: impl fmt::Display) -> Self {
        testing::set_now(Duration::from_secs(1_000_000));
        Self {
            settings: RefCell::new(settings.to_string()),
            longest: Duration::from_secs(1),
            retry_after: Duration::from_millis(50),
            attempts: 20,
            calls: 400,
            is_real: false,
            given_up: Cell::new(false),
        }
    }

    /// In front of real programs: their time is not ours to move, and they are busy for longer.
    pub fn of_real(settings: impl fmt::Display) -> Self {
        let mut host = Self::with(settings).waiting(Duration::MAX).retrying_after(Duration::from_millis(500));
        (host.attempts, host.calls, host.is_real) = (40, 600, true);
        testing::set_now(since_1970());
        host
    }

    /// The longest that it really waits; a second, when nobody says. A driver's own time moves on by all that it asked for, all the same.
    #[must_use]
    pub fn waiting(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    #[must_use]
    pub fn retrying_after(mut self, time: Duration) -> Self {
        self.retry_after = time;
        self
    }

    /// The first call of an operation.
    pub fn context(&self) -> Context {
        testing::context(self.settings.borrow().clone())
    }

    /// One operation to its end, from its first call.
    pub fn run<A: Ends>(&self, call: impl Fn(Context) -> Answer<A>) -> Did<A::Done> {
        let trail = Trail::default();
        let answer = self.go_on(&trail, call);
        Did { answer, trail: trail.into_inner() }
    }

    /// One operation to its end, from this checkpoint, which moves on.
    pub fn go_on<A: Ends>(&self, trail: &Trail, call: impl Fn(Context) -> Answer<A>) -> Result<A::Done, Fault> {
        self.go_on_at(1, trail, call)
    }

    /// As [`Host::go_on`], where the first call is this try of it.
    pub fn go_on_at<A: Ends>(
        &self,
        first: u32,
        trail: &Trail,
        call: impl Fn(Context) -> Answer<A>,
    ) -> Result<A::Done, Fault> {
        let mut attempt = first;
        for _ in 0..self.calls {
            let cx = Context { attempt, checkpoint: trail.borrow().clone(), ..self.context() };
            match call(cx).map(Ends::end) {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(pause)) => {
                    trail.replace(Some(pause.checkpoint));
                    attempt = 1;
                    self.pass(Duration::from_millis(pause.after));
                }
                Err(fault) if self.given_up.take() => return Err(fault),
                Err(Fault::Retry(_)) if attempt < self.attempts => {
                    attempt += 1;
                    self.pass(self.retry_after);
                }
                Err(fault) => return Err(fault),
            }
        }
        panic!("no end")
    }

    /// Nobody repeats the call that is under way: the next is the undoing verb.
    pub fn give_up(&self) {
        self.given_up.set(true);
    }

    /// The far side's time is the machine's, so waiting is waiting.
    #[allow(clippy::disallowed_methods, reason = "waits for a server of another thread or process")]
    pub fn pass(&self, time: Duration) {
        std::thread::sleep(time.min(self.longest));
        testing::set_now(if self.is_real { since_1970() } else { moganite_driver::now() + time });
    }
}

#[allow(clippy::disallowed_methods, reason = "real programs have the machine's time")]
fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

impl Ends for NodeDoing {
    type Done = Node;

    fn end(self) -> Result<Node, Pause> {
        match self {
            Self::Done(node) => Ok(node),
            Self::Pending(pause) => Err(pause),
        }
    }
}

impl Ends for DeployDoing {
    type Done = Deployed;

    fn end(self) -> Result<Deployed, Pause> {
        match self {
            Self::Done(deployed) => Ok(deployed),
            Self::Pending(pause) => Err(pause),
        }
    }
}

impl Ends for Undoing {
    type Done = String;

    fn end(self) -> Result<String, Pause> {
        match self {
            Self::Done(receipt) => Ok(receipt),
            Self::Pending(pause) => Err(pause),
        }
    }
}
