//! Policies to hold the fair one against. None of them knows reserves; caps are kept by the scheduler under all of them.

mod credit2;
mod lottery;
mod round_robin;
mod stride;
mod weights;

pub(crate) use credit2::Credit2;
pub(crate) use lottery::Lottery;
pub(crate) use round_robin::RoundRobin;
pub(crate) use stride::Stride;
