//! The processor that a guest sees.

use apportion_abi::{Payload, Processor};

use super::diagnostics::Problem;
use super::fields::Fields;
use super::payloads::Program;

/// The key `processor`; reported where `program` needs more than that.
pub(super) fn read_processor(fields: &mut Fields<'_, '_>, program: &Program) -> Processor {
    let processors = Processor::ALL.map(|processor| (processor.name(), processor));
    let Some(given) = fields.choice("processor", &processors) else {
        return Processor::default();
    };
    let processor = *given.get_ref();
    if program.payload == Payload::Vector && processor == Processor::Compatible {
        let title = format!("payload `vector` needs AVX2, which processor \"{processor}\" masks");
        let label = "use `payload = \"burn\"`";
        let problem = Problem::at(program.place.clone(), title, label)
            .context(given.span(), "or use `processor = \"host\"`");
        fields.problems.push(problem);
    }
    processor
}
