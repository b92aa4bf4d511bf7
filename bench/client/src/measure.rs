//! Interleaved medians: in every round each contender has its turn, so that a slow moment of the machine is everybody's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contenders::{BOUND, Contender};
use crate::workloads::Workload;
use crate::{server, thread};

const ROUNDS: usize = 31;

/// What one workload gave.
pub(crate) struct Measured {
    pub(crate) workload: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// What one contender gave on it: nanoseconds an event, the medians of all rounds.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The processor time of the thread that reads.
    pub(crate) cpu: f64,
    /// The same without what the bound used in the same round. `None` if the bound did not run.
    pub(crate) overhead: Option<f64>,
    /// The time that passes, waiting included.
    pub(crate) wall: f64,
}

#[derive(Clone, Copy)]
struct Turn {
    cpu: f64,
    wall: f64,
}

impl Measured {
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

pub(crate) fn run(workload: Workload, contenders: &[Contender]) -> Measured {
    let workload = Arc::new(workload);
    let address = server::start(Arc::clone(&workload));
    let mut turns: Vec<Vec<Turn>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        // Nobody always comes after the same one.
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        order.rotate_left(round % contenders.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            turns[at].push(turn(&contenders[at], address, &workload));
        }
    }
    let bound = contenders.iter().position(|contender| contender.name == BOUND);
    let rows = contenders.iter().zip(&turns).map(|(contender, own)| Row {
        name: contender.name,
        cpu: median(own.iter().map(|turn| turn.cpu)),
        overhead: bound
            .map(|bound| median(own.iter().zip(&turns[bound]).map(|(own, bound)| own.cpu - bound.cpu))),
        wall: median(own.iter().map(|turn| turn.wall)),
    });
    Measured { workload: workload.name, rows: rows.collect() }
}

/// Reads the workload once, on a thread of its own: all that the client does, its connection included, is on that thread.
///
/// # Panics
/// If the contender sees another number of events than there are: a fast parser of something else is no contender.
fn turn(contender: &Contender, address: SocketAddr, workload: &Workload) -> Turn {
    let measured = || {
        thread::pin(thread::CLIENT);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (cpu, wall) = (thread::cpu_time(), Instant::now());
        let seen = runtime.block_on((contender.read)(address, workload));
        let (cpu, wall) = (thread::cpu_time() - cpu, wall.elapsed());
        let events = workload.events();
        assert!(seen.is_none_or(|seen| seen == events), "{}: {seen:?} of {events} events", contender.name);
        let per_event = |time: Duration| time.as_secs_f64() * 1e9 / events as f64;
        Turn { cpu: per_event(cpu), wall: per_event(wall) }
    };
    std::thread::scope(|scope| scope.spawn(measured).join().expect("the turn does not panic"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
