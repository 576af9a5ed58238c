//! How long the decisions take, by number of VPs and LPs.

mod machines;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use machines::{Machine, Operation, Size};

fn decisions(criterion: &mut Criterion) {
    for operation in Operation::ALL {
        let mut group = criterion.benchmark_group(operation.name());
        for size in Size::all() {
            let mut machine = None;
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                // Made once, and only where it is measured.
                let machine = machine.get_or_insert_with(|| Machine::ready_for(operation, size));
                bencher.iter(|| machine.perform(operation));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
